// The host half of the card: registers, DMA, queues, commands, flow statistics, interrupts, reset of the host domain.
//
// Wiring, and the data multiplexer of DMA writes. DMA clients, reads: 0 RX descriptors, 1 command units, then for each port
// TX descriptors and TX payload; writes: 0 RX payload, 1 RX completions, 2 commands, then a port's TX write-back.
module slu_host_if #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned QueuesPerPort = 2,
  parameter int unsigned BucketBits    = 17,
  parameter int unsigned FlowIdBits    = 20,
  parameter int unsigned NextHopBits   = 12,
  localparam int unsigned NumQueues    = NumPorts * QueuesPerPort
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    host_rst_i,  // pulse
  input  logic [63:0]             time_us_i,
  input  logic [NumPorts-1:0]     link_i,
  output logic [NumQueues:0]      irq_o,
  output logic                    idle_o,

  // Host bus
  input  logic                    s_axil_awvalid_i,
  output logic                    s_axil_awready_o,
  input  logic [16:0]             s_axil_awaddr_i,
  input  logic                    s_axil_wvalid_i,
  output logic                    s_axil_wready_o,
  input  logic [31:0]             s_axil_wdata_i,
  input  logic [3:0]              s_axil_wstrb_i,
  output logic                    s_axil_bvalid_o,
  input  logic                    s_axil_bready_i,
  output logic [1:0]              s_axil_bresp_o,
  input  logic                    s_axil_arvalid_i,
  output logic                    s_axil_arready_o,
  input  logic [16:0]             s_axil_araddr_i,
  output logic                    s_axil_rvalid_o,
  input  logic                    s_axil_rready_i,
  output logic [31:0]             s_axil_rdata_o,
  output logic [1:0]              s_axil_rresp_o,

  // Host memory
  output logic                    m_dma_arvalid_o,
  input  logic                    m_dma_arready_i,
  output logic [63:0]             m_dma_araddr_o,
  output logic [5:0]              m_dma_arid_o,
  output logic [7:0]              m_dma_arlen_o,
  input  logic                    m_dma_rvalid_i,
  output logic                    m_dma_rready_o,
  input  logic [511:0]            m_dma_rdata_i,
  input  logic [5:0]              m_dma_rid_i,
  input  logic [1:0]              m_dma_rresp_i,
  input  logic                    m_dma_rlast_i,
  output logic                    m_dma_awvalid_o,
  input  logic                    m_dma_awready_i,
  output logic [63:0]             m_dma_awaddr_o,
  output logic [5:0]              m_dma_awid_o,
  output logic [7:0]              m_dma_awlen_o,
  output logic                    m_dma_wvalid_o,
  input  logic                    m_dma_wready_i,
  output logic [511:0]            m_dma_wdata_o,
  output logic [63:0]             m_dma_wstrb_o,
  output logic                    m_dma_wlast_o,
  input  logic                    m_dma_bvalid_i,
  output logic                    m_dma_bready_o,
  input  logic [5:0]              m_dma_bid_i,
  input  logic [1:0]              m_dma_bresp_i,

  // Record memory, writes
  output logic                    m_rec_awvalid_o,
  input  logic                    m_rec_awready_i,
  output logic [31:0]             m_rec_awaddr_o,
  output logic [7:0]              m_rec_awlen_o,
  output logic                    m_rec_wvalid_o,
  input  logic                    m_rec_wready_i,
  output logic [511:0]            m_rec_wdata_o,
  output logic                    m_rec_wlast_o,
  input  logic                    m_rec_bvalid_i,
  output logic                    m_rec_bready_o,
  input  logic [1:0]              m_rec_bresp_i,

  // Counter memory
  output logic                    m_cnt_arvalid_o,
  input  logic                    m_cnt_arready_i,
  output logic [31:0]             m_cnt_araddr_o,
  output logic [5:0]              m_cnt_arid_o,
  input  logic                    m_cnt_rvalid_i,
  output logic                    m_cnt_rready_o,
  input  logic [127:0]            m_cnt_rdata_i,
  input  logic [5:0]              m_cnt_rid_i,
  input  logic [1:0]              m_cnt_rresp_i,
  output logic                    m_cnt_awvalid_o,
  input  logic                    m_cnt_awready_i,
  output logic [31:0]             m_cnt_awaddr_o,
  output logic [5:0]              m_cnt_awid_o,
  output logic                    m_cnt_wvalid_o,
  input  logic                    m_cnt_wready_i,
  output logic [127:0]            m_cnt_wdata_o,
  output logic [15:0]             m_cnt_wstrb_o,
  input  logic                    m_cnt_bvalid_i,
  output logic                    m_cnt_bready_o,
  input  logic [5:0]              m_cnt_bid_i,
  input  logic [1:0]              m_cnt_bresp_i,

  // Flow engine: see there
  output logic                    lookup_enable_o,
  output logic [14*32-1:0]        hash_key_o,
  output logic [NumPorts*48-1:0]  port_mac_o,
  output logic [NumPorts-1:0]     port_enable_o,
  output logic [NumPorts-1:0]     vlan_strip_o,
  input  logic [NumPorts-1:0]     hrx_valid_i,
  output logic [NumPorts-1:0]     hrx_ready_o,
  input  logic [NumPorts*512-1:0] hrx_data_i,
  input  logic [NumPorts-1:0]     hrx_last_i,
  input  logic [NumPorts*slu_pkg::RxMetaBits-1:0] hrx_meta_i,
  output logic [NumPorts-1:0]     htx_valid_o,
  input  logic [NumPorts-1:0]     htx_ready_i,
  output logic [NumPorts*512-1:0] htx_data_o,
  output logic [NumPorts*7-1:0]   htx_bytes_o,
  output logic [NumPorts-1:0]     htx_last_o,
  output logic                    tbl_valid_o,
  input  logic                    tbl_ready_i,
  output logic [2:0]              tbl_op_o,
  output logic [31:0]             tbl_slot_o,
  output logic [16:0]             tbl_tag_o,
  output logic [255:0]            tbl_nh_o,
  input  logic                    tbl_done_i,
  input  logic                    tbl_err_i,
  input  logic [1023:0]           tbl_rdata_i,
  input  logic                    rec_error_i,
  input  logic                    fst_valid_i,
  output logic                    fst_ready_o,
  input  logic [31:0]             fst_flow_id_i,
  input  logic [15:0]             fst_bytes_i,
  input  logic                    fst_count_i,
  output logic [7:0]              pstat_port_o,
  output logic [4:0]              pstat_idx_o,
  input  logic [63:0]             pstat_value_i,
  input  logic [31:0]             tags_valid_i,
  input  logic                    flow_busy_i
);
  localparam int unsigned NumRd = 2 + 2 * NumPorts;
  localparam int unsigned NumWr = 3 + NumPorts;
  localparam int unsigned TPW   = NumPorts > 1 ? $clog2(NumPorts) : 1;

  // -- resets --
  logic        hold, rst_host_n, reset_busy, reset_request, quiet;
  logic [31:0] generation;
  logic        dma_enable, dma_idle, rx_busy, rx_idle, cmd_busy, cmd_idle, stats_idle, irq_idle, regs_idle;
  logic [NumPorts-1:0] tx_busy, tx_idle;

  assign quiet = !rx_busy && tx_busy == '0 && !cmd_busy && dma_idle;

  // Stops, in simulation, while everything here but the statistics has nothing to do; see the end.
  logic clk_host;

  slu_host_reset u_reset (
    .clk_i(clk_host), .rst_ni,
    .request_i   (host_rst_i || reset_request),
    .quiet_i     (quiet),
    .hold_o      (hold),
    .rst_host_no (rst_host_n),
    .generation_o(generation),
    .busy_o      (reset_busy)
  );

  // -- registers --
  logic                    dma_read_error, dma_write_error;
  logic                    rec_write_error, stats_error;
  logic [NumQueues:0]      irq_mask;
  logic                    cmd_enable, cmd_restart, cmd_db_valid, cmd_db_bad, cmd_fault, cmd_failed, cmd_nop, cmd_executing;
  logic [63:0]             cmd_ring, cmd_cpl;
  logic [4:0]              cmd_ring_log2, cmd_cpl_log2;
  logic [31:0]             cmd_head, cmd_written;
  logic [7:0]              db_queue, arm_vector;
  logic [31:0]             db_value;
  logic                    rx_db_valid, rx_db_bad, tx_db_valid, arm_valid;
  logic [NumPorts-1:0]     tx_db_bad;
  logic [7:0]              tx_port, tx_queue;  // where a TX doorbell goes
  logic [NumQueues-1:0]    rx_enable, rx_restart, rx_fault, rx_busy_queue, tx_enable, tx_restart, tx_fault, tx_busy_queue;
  logic [NumQueues*64-1:0] rx_ring, rx_cpl, tx_ring, tx_wb;
  logic [NumQueues*4-1:0]  rx_log2, tx_log2;
  logic [NumQueues*32-1:0] rx_written, tx_head;
  logic                    rss_write, rss_bad, rss_init;
  logic [7:0]              rss_port;
  logic [5:0]              rss_word;
  logic [31:0]             rss_rdata;
  logic                    flow_clear, flow_reset_busy;
  logic [63:0]             host_stat;

  slu_axil_regs #(
    .NumPorts(NumPorts), .QueuesPerPort(QueuesPerPort), .BucketBits(BucketBits), .FlowIdBits(FlowIdBits), .NextHopBits(NextHopBits)
  ) u_regs (
    .clk_i(clk_host), .rst_ni,
    .rst_host_ni      (rst_host_n),
    .s_axil_awvalid_i, .s_axil_awready_o, .s_axil_awaddr_i, .s_axil_wvalid_i, .s_axil_wready_o, .s_axil_wdata_i, .s_axil_wstrb_i,
    .s_axil_bvalid_o, .s_axil_bready_i, .s_axil_bresp_o, .s_axil_arvalid_i, .s_axil_arready_o, .s_axil_araddr_i,
    .s_axil_rvalid_o, .s_axil_rready_i, .s_axil_rdata_o, .s_axil_rresp_o,
    .time_us_i, .link_i,
    .reset_request_o  (reset_request),
    .reset_busy_i     (reset_busy),
    .generation_i     (generation),
    .dma_enable_o     (dma_enable),
    .dma_idle_i       (dma_idle),
    .dma_read_error_i (dma_read_error),
    .dma_write_error_i(dma_write_error),
    .memory_errors_i  ({rec_error_i, rec_write_error, stats_error}),
    .irq_mask_o       (irq_mask),
    .cmd_enable_o     (cmd_enable),
    .cmd_restart_o    (cmd_restart),
    .cmd_ring_o       (cmd_ring),
    .cmd_ring_log2_o  (cmd_ring_log2),
    .cmd_cpl_o        (cmd_cpl),
    .cmd_cpl_log2_o   (cmd_cpl_log2),
    .cmd_db_valid_o   (cmd_db_valid),
    .cmd_db_bad_i     (cmd_db_bad),
    .cmd_fault_i      (cmd_fault),
    .cmd_head_i       (cmd_head),
    .cmd_failed_i     (cmd_failed),
    .cmd_nop_i        (cmd_nop),
    .cmd_executing_i  (cmd_executing),
    .db_queue_o       (db_queue),
    .db_value_o       (db_value),
    .rx_db_valid_o    (rx_db_valid),
    .rx_db_bad_i      (rx_db_bad),
    .tx_db_valid_o    (tx_db_valid),
    .tx_db_bad_i      (tx_db_bad[TPW'(tx_port)]),
    .arm_valid_o      (arm_valid),
    .arm_vector_o     (arm_vector),
    .rx_enable_o      (rx_enable),
    .rx_restart_o     (rx_restart),
    .rx_ring_o        (rx_ring),
    .rx_cpl_o         (rx_cpl),
    .rx_log2_o        (rx_log2),
    .rx_fault_i       (rx_fault),
    .rx_busy_i        (rx_busy_queue),
    .rx_head_i        (rx_written),
    .tx_enable_o      (tx_enable),
    .tx_restart_o     (tx_restart),
    .tx_ring_o        (tx_ring),
    .tx_wb_o          (tx_wb),
    .tx_log2_o        (tx_log2),
    .tx_fault_i       (tx_fault),
    .tx_busy_i        (tx_busy_queue),
    .tx_head_i        (tx_head),
    .rss_write_o      (rss_write),
    .rss_port_o       (rss_port),
    .rss_word_o       (rss_word),
    .rss_bad_i        (rss_bad),
    .rss_init_i       (rss_init),
    .rss_rdata_i      (rss_rdata),
    .lookup_enable_o, .hash_key_o, .port_mac_o, .port_enable_o, .vlan_strip_o,
    .flow_clear_i     (flow_clear),
    .flow_busy_i      (flow_reset_busy || flow_busy_i),
    .tags_valid_i,
    .pstat_port_o, .pstat_idx_o,
    .pstat_value_i    (pstat_value_i + host_stat),
    .idle_o           (regs_idle)
  );

  slu_irq #(
    .NumVectors(NumQueues + 1)
  ) u_irq (
    .clk_i(clk_host),
    .rst_ni      (rst_host_n),
    .mask_i      (irq_mask),
    .restart_i   ({cmd_restart, rx_restart}),
    .written_i   ({cmd_written, rx_written}),
    .arm_valid_i (arm_valid),
    .arm_vector_i(arm_vector),
    .arm_index_i (db_value),
    .irq_o,
    .idle_o      (irq_idle)
  );

  // -- DMA --
  logic [NumRd-1:0]    rd_valid, rd_ready, rsp_valid;
  logic [NumRd*64-1:0] rd_addr;
  logic [NumRd*16-1:0] rd_bytes;
  logic [511:0]        rsp_data;
  logic                rsp_err, rsp_last;
  logic [NumWr-1:0]    wr_valid, wr_ready, wd_valid, wd_ready, done_valid;
  logic [NumWr*64-1:0] wr_addr;
  logic [NumWr*16-1:0] wr_bytes;
  logic [2:0]          wr_sel;
  logic [511:0]        wd_data, wd_payload, wd_cmd;
  logic [255:0]        wd_cpl;
  logic [NumPorts*64-1:0] wd_wb;
  logic                done_err;

  always_comb begin
    wd_data = wd_payload;
    case (wr_sel)
      3'd0:    ;
      3'd1:    wd_data = {2{wd_cpl}};
      3'd2:    wd_data = wd_cmd;
      default: for (int p = 0; p < NumPorts; p++) if (wr_sel == 3'(3 + p)) wd_data = {8{wd_wb[p*64+:64]}};
    endcase
  end

  slu_dma #(
    .NumRd(NumRd), .NumWr(NumWr)
  ) u_dma (
    .clk_i(clk_host), .rst_ni,
    .block_i      (!dma_enable),
    .rd_valid_i   (rd_valid),
    .rd_ready_o   (rd_ready),
    .rd_addr_i    (rd_addr),
    .rd_bytes_i   (rd_bytes),
    .rsp_valid_o  (rsp_valid),
    .rsp_data_o   (rsp_data),
    .rsp_err_o    (rsp_err),
    .rsp_last_o   (rsp_last),
    .wr_valid_i   (wr_valid),
    .wr_ready_o   (wr_ready),
    .wr_addr_i    (wr_addr),
    .wr_bytes_i   (wr_bytes),
    .wr_sel_o     (wr_sel),
    .wd_valid_i   (wd_valid),
    .wd_ready_o   (wd_ready),
    .wd_data_i    (wd_data),
    .done_valid_o (done_valid),
    .done_err_o   (done_err),
    .read_error_o (dma_read_error),
    .write_error_o(dma_write_error),
    .idle_o       (dma_idle),
    .m_dma_arvalid_o, .m_dma_arready_i, .m_dma_araddr_o, .m_dma_arid_o, .m_dma_arlen_o, .m_dma_rvalid_i, .m_dma_rready_o,
    .m_dma_rdata_i, .m_dma_rid_i, .m_dma_rresp_i, .m_dma_rlast_i, .m_dma_awvalid_o, .m_dma_awready_i, .m_dma_awaddr_o,
    .m_dma_awid_o, .m_dma_awlen_o, .m_dma_wvalid_o, .m_dma_wready_i, .m_dma_wdata_o, .m_dma_wstrb_o, .m_dma_wlast_o,
    .m_dma_bvalid_i, .m_dma_bready_o, .m_dma_bid_i, .m_dma_bresp_i
  );

  // -- receive --
  logic [NumPorts-1:0] drop_off, drop_no_desc, drop_too_long, bad_desc;

  slu_rx_queues #(
    .NumPorts(NumPorts), .QueuesPerPort(QueuesPerPort)
  ) u_rx (
    .clk_i(clk_host),
    .rst_ni         (rst_host_n),
    .hold_i         (hold),
    .dma_enable_i   (dma_enable),
    .enable_i       (rx_enable),
    .restart_i      (rx_restart),
    .ring_i         (rx_ring),
    .cpl_i          (rx_cpl),
    .log2_i         (rx_log2),
    .db_valid_i     (rx_db_valid),
    .db_queue_i     (db_queue),
    .db_value_i     (db_value),
    .db_bad_o       (rx_db_bad),
    .fault_o        (rx_fault),
    .busy_queue_o   (rx_busy_queue),
    .written_o      (rx_written),
    .rss_write_i    (rss_write),
    .rss_port_i     (rss_port),
    .rss_word_i     (rss_word),
    .rss_wdata_i    (db_value),
    .rss_bad_o      (rss_bad),
    .rss_rdata_o    (rss_rdata),
    .rss_init_o     (rss_init),
    .hrx_valid_i, .hrx_ready_o, .hrx_data_i, .hrx_last_i, .hrx_meta_i,
    .rd_valid_o     (rd_valid[0]),
    .rd_ready_i     (rd_ready[0]),
    .rd_addr_o      (rd_addr[63:0]),
    .rd_bytes_o     (rd_bytes[15:0]),
    .rsp_valid_i    (rsp_valid[0]),
    .rsp_data_i     (rsp_data),
    .rsp_err_i      (rsp_err),
    .rsp_last_i     (rsp_last),
    .wr_valid_o     (wr_valid[1:0]),
    .wr_ready_i     (wr_ready[1:0]),
    .wr_addr_o      (wr_addr[127:0]),
    .wr_bytes_o     (wr_bytes[31:0]),
    .wd_valid_o     (wd_valid[1:0]),
    .wd_ready_i     (wd_ready[1:0]),
    .wd_payload_o   (wd_payload),
    .wd_cpl_o       (wd_cpl),
    .done_valid_i   (done_valid[1:0]),
    .done_err_i     (done_err),
    .drop_off_o     (drop_off),
    .drop_no_desc_o (drop_no_desc),
    .drop_too_long_o(drop_too_long),
    .busy_o         (rx_busy),
    .idle_o         (rx_idle)
  );

  // -- transmit --
  assign tx_port  = db_queue / 8'(QueuesPerPort);
  assign tx_queue = db_queue % 8'(QueuesPerPort);

  for (genvar p = 0; p < NumPorts; p++) begin : gen_tx
    slu_tx_queues #(
      .NumQueues(QueuesPerPort)
    ) u_tx (
      .clk_i(clk_host), .rst_ni,
      .rst_host_ni (rst_host_n),
      .hold_i      (hold),
      .dma_enable_i(dma_enable),
      .enable_i    (tx_enable[p*QueuesPerPort+:QueuesPerPort]),
      .restart_i   (tx_restart[p*QueuesPerPort+:QueuesPerPort]),
      .ring_i      (tx_ring[p*QueuesPerPort*64+:QueuesPerPort*64]),
      .wb_i        (tx_wb[p*QueuesPerPort*64+:QueuesPerPort*64]),
      .log2_i      (tx_log2[p*QueuesPerPort*4+:QueuesPerPort*4]),
      .db_valid_i  (tx_db_valid && tx_port == 8'(p)),
      .db_queue_i  (tx_queue),
      .db_value_i  (db_value),
      .db_bad_o    (tx_db_bad[p]),
      .fault_o     (tx_fault[p*QueuesPerPort+:QueuesPerPort]),
      .busy_queue_o(tx_busy_queue[p*QueuesPerPort+:QueuesPerPort]),
      .head_o      (tx_head[p*QueuesPerPort*32+:QueuesPerPort*32]),
      .rd_valid_o  (rd_valid[2+2*p+:2]),
      .rd_ready_i  (rd_ready[2+2*p+:2]),
      .rd_addr_o   (rd_addr[(2+2*p)*64+:128]),
      .rd_bytes_o  (rd_bytes[(2+2*p)*16+:32]),
      .rsp_valid_i (rsp_valid[2+2*p+:2]),
      .rsp_data_i  (rsp_data),
      .rsp_err_i   (rsp_err),
      .rsp_last_i  (rsp_last),
      .wr_valid_o  (wr_valid[3+p]),
      .wr_ready_i  (wr_ready[3+p]),
      .wr_addr_o   (wr_addr[(3+p)*64+:64]),
      .wd_valid_o  (wd_valid[3+p]),
      .wd_ready_i  (wd_ready[3+p]),
      .wd_data_o   (wd_wb[p*64+:64]),
      .done_valid_i(done_valid[3+p]),
      .htx_valid_o (htx_valid_o[p]),
      .htx_ready_i (htx_ready_i[p]),
      .htx_data_o  (htx_data_o[p*512+:512]),
      .htx_bytes_o (htx_bytes_o[p*7+:7]),
      .htx_last_o  (htx_last_o[p]),
      .bad_o       (bad_desc[p]),
      .busy_o      (tx_busy[p]),
      .idle_o      (tx_idle[p])
    );
    assign wr_bytes[(3+p)*16+:16] = 16'd8;
  end

  // -- commands and statistics --
  logic         op_valid, op_ready, op_clear, res_valid, res_err;
  logic [31:0]  op_flow_id;
  logic [3:0]   op_tag, res_tag;
  logic [127:0] res_data;

  slu_cmd #(
    .BucketBits(BucketBits), .FlowIdBits(FlowIdBits), .NextHopBits(NextHopBits)
  ) u_cmd (
    .clk_i(clk_host),
    .rst_ni      (rst_host_n),
    .hold_i      (hold),
    .dma_enable_i(dma_enable),
    .enable_i    (cmd_enable),
    .restart_i   (cmd_restart),
    .ring_i      (cmd_ring),
    .ring_log2_i (cmd_ring_log2),
    .cpl_i       (cmd_cpl),
    .cpl_log2_i  (cmd_cpl_log2),
    .db_valid_i  (cmd_db_valid),
    .db_value_i  (db_value),
    .db_bad_o    (cmd_db_bad),
    .fault_o     (cmd_fault),
    .head_o      (cmd_head),
    .written_o   (cmd_written),
    .failed_o    (cmd_failed),
    .nop_o       (cmd_nop),
    .executing_o (cmd_executing),
    .flow_clear_o(flow_clear),
    .flow_busy_o (flow_reset_busy),
    .rd_valid_o  (rd_valid[1]),
    .rd_ready_i  (rd_ready[1]),
    .rd_addr_o   (rd_addr[127:64]),
    .rd_bytes_o  (rd_bytes[31:16]),
    .rsp_valid_i (rsp_valid[1]),
    .rsp_data_i  (rsp_data),
    .rsp_err_i   (rsp_err),
    .rsp_last_i  (rsp_last),
    .wr_valid_o  (wr_valid[2]),
    .wr_ready_i  (wr_ready[2]),
    .wr_addr_o   (wr_addr[191:128]),
    .wr_bytes_o  (wr_bytes[47:32]),
    .wd_valid_o  (wd_valid[2]),
    .wd_ready_i  (wd_ready[2]),
    .wd_data_o   (wd_cmd),
    .done_valid_i(done_valid[2]),
    .done_err_i  (done_err),
    .tbl_valid_o, .tbl_ready_i, .tbl_op_o, .tbl_slot_o, .tbl_tag_o, .tbl_nh_o, .tbl_done_i, .tbl_err_i, .tbl_rdata_i,
    .op_valid_o  (op_valid),
    .op_ready_i  (op_ready),
    .op_clear_o  (op_clear),
    .op_flow_id_o(op_flow_id),
    .op_tag_o    (op_tag),
    .res_valid_i (res_valid),
    .res_tag_i   (res_tag),
    .res_err_i   (res_err),
    .res_data_i  (res_data),
    .m_rec_awvalid_o, .m_rec_awready_i, .m_rec_awaddr_o, .m_rec_awlen_o, .m_rec_wvalid_o, .m_rec_wready_i, .m_rec_wdata_o,
    .m_rec_wlast_o, .m_rec_bvalid_i, .m_rec_bready_o, .m_rec_bresp_i,
    .rec_error_o (rec_write_error),
    .busy_o      (cmd_busy),
    .idle_o      (cmd_idle)
  );

  slu_flow_stats #(
    .FlowIdBits(FlowIdBits)
  ) u_stats (
    .clk_i, .rst_ni, .time_us_i,
    .fst_valid_i, .fst_ready_o, .fst_flow_id_i, .fst_bytes_i, .fst_count_i,
    .op_valid_i  (op_valid),
    .op_ready_o  (op_ready),
    .op_clear_i  (op_clear),
    .op_flow_id_i(op_flow_id),
    .op_tag_i    (op_tag),
    .res_valid_o (res_valid),
    .res_tag_o   (res_tag),
    .res_err_o   (res_err),
    .res_data_o  (res_data),
    .m_cnt_arvalid_o, .m_cnt_arready_i, .m_cnt_araddr_o, .m_cnt_arid_o, .m_cnt_rvalid_i, .m_cnt_rready_o, .m_cnt_rdata_i,
    .m_cnt_rid_i, .m_cnt_rresp_i, .m_cnt_awvalid_o, .m_cnt_awready_i, .m_cnt_awaddr_o, .m_cnt_awid_o, .m_cnt_wvalid_o,
    .m_cnt_wready_i, .m_cnt_wdata_o, .m_cnt_wstrb_o, .m_cnt_bvalid_i, .m_cnt_bready_o, .m_cnt_bid_i, .m_cnt_bresp_i,
    .error_o     (stats_error),
    .idle_o      (stats_idle)
  );

  slu_port_counters #(
    .NumPorts(NumPorts)
  ) u_counters (
    .clk_i(clk_host), .rst_ni,
    .off_i     (drop_off),
    .no_desc_i (drop_no_desc),
    .too_long_i(drop_too_long),
    .bad_desc_i(bad_desc),
    .port_i    (pstat_port_o),
    .idx_i     (pstat_idx_o),
    .value_o   (host_stat)
  );

  // -- clock: what comes from outside may wake the blocks when all are idle --
  logic wake, blocks_idle_q;
  assign wake = host_rst_i || s_axil_awvalid_i || s_axil_wvalid_i || s_axil_arvalid_i || m_dma_rvalid_i || m_dma_bvalid_i ||
                 (|hrx_valid_i) || tbl_done_i || res_valid || rec_error_i || stats_error || m_rec_bvalid_i;
  always_ff @(posedge clk_host) begin
    blocks_idle_q <= !host_rst_i && !reset_busy && !reset_request && regs_idle && irq_idle && dma_idle && rx_idle && (&tx_idle) &&
                     cmd_idle;
  end
  slu_clock_gate u_gate (.clk_i, .rst_ni, .awake_i(wake || !blocks_idle_q), .clk_o(clk_host));

  assign idle_o = blocks_idle_q && stats_idle;
endmodule
