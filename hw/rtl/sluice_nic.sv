// The card. Wiring only; read this first.
//
//   wires -> slu_flow_engine -> wires        hits: parse, hash, tags, record, rewrite (record memory, reads)
//                 | ^
//                 v |                        misses and exceptions up, frames of the host down
//            slu_host_if -> host memory      registers, DMA, queues, commands, statistics (counter memory)
//
// Flat vectors: port p is slice [p*W +: W]. Wire input has no back-pressure; rx_err_i comes with rx_last_i.
// idle_o: nothing moves in the card, and only an input can change that; a simulator may stop the clock.
// Reset domains: rst_ni resets all; host_rst_i (a pulse: FLR, disconnect) the host domain, when its DMA has ended; the
// flow domain only a FLOW_RESET command.
module sluice_nic #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned QueuesPerPort = 2,
  parameter int unsigned BucketBits    = 17,
  parameter int unsigned FlowIdBits    = 20,
  parameter int unsigned NextHopBits   = 12,
  localparam int unsigned NumQueues    = NumPorts * QueuesPerPort
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  logic                           host_rst_i,
  input  logic [63:0]                    time_us_i,
  input  logic [NumPorts-1:0]            link_i,
  output logic [NumQueues:0]             irq_o,  // one-clock pulses: queue q is vector q, commands the last
  output logic                           idle_o,

  // Registers and doorbells: AXI4-Lite
  input  logic                           s_axil_awvalid_i,
  output logic                           s_axil_awready_o,
  input  logic [16:0]                    s_axil_awaddr_i,
  input  logic                           s_axil_wvalid_i,
  output logic                           s_axil_wready_o,
  input  logic [31:0]                    s_axil_wdata_i,
  input  logic [3:0]                     s_axil_wstrb_i,
  output logic                           s_axil_bvalid_o,
  input  logic                           s_axil_bready_i,
  output logic [1:0]                     s_axil_bresp_o,
  input  logic                           s_axil_arvalid_i,
  output logic                           s_axil_arready_o,
  input  logic [16:0]                    s_axil_araddr_i,
  output logic                           s_axil_rvalid_o,
  input  logic                           s_axil_rready_i,
  output logic [31:0]                    s_axil_rdata_o,
  output logic [1:0]                     s_axil_rresp_o,

  // Host memory: AXI4
  output logic                           m_dma_arvalid_o,
  input  logic                           m_dma_arready_i,
  output logic [63:0]                    m_dma_araddr_o,
  output logic [5:0]                     m_dma_arid_o,
  output logic [7:0]                     m_dma_arlen_o,
  input  logic                           m_dma_rvalid_i,
  output logic                           m_dma_rready_o,
  input  logic [511:0]                   m_dma_rdata_i,
  input  logic [5:0]                     m_dma_rid_i,
  input  logic [1:0]                     m_dma_rresp_i,
  input  logic                           m_dma_rlast_i,
  output logic                           m_dma_awvalid_o,
  input  logic                           m_dma_awready_i,
  output logic [63:0]                    m_dma_awaddr_o,
  output logic [5:0]                     m_dma_awid_o,
  output logic [7:0]                     m_dma_awlen_o,
  output logic                           m_dma_wvalid_o,
  input  logic                           m_dma_wready_i,
  output logic [511:0]                   m_dma_wdata_o,
  output logic [63:0]                    m_dma_wstrb_o,
  output logic                           m_dma_wlast_o,
  input  logic                           m_dma_bvalid_i,
  output logic                           m_dma_bready_o,
  input  logic [5:0]                     m_dma_bid_i,
  input  logic [1:0]                     m_dma_bresp_i,

  // Record memory: AXI4
  output logic                           m_rec_arvalid_o,
  input  logic                           m_rec_arready_i,
  output logic [31:0]                    m_rec_araddr_o,
  output logic [9:0]                     m_rec_arid_o,
  output logic [7:0]                     m_rec_arlen_o,
  input  logic                           m_rec_rvalid_i,
  output logic                           m_rec_rready_o,
  input  logic [511:0]                   m_rec_rdata_i,
  input  logic [9:0]                     m_rec_rid_i,
  input  logic [1:0]                     m_rec_rresp_i,
  input  logic                           m_rec_rlast_i,
  output logic                           m_rec_awvalid_o,
  input  logic                           m_rec_awready_i,
  output logic [31:0]                    m_rec_awaddr_o,
  output logic [9:0]                     m_rec_awid_o,
  output logic [7:0]                     m_rec_awlen_o,
  output logic                           m_rec_wvalid_o,
  input  logic                           m_rec_wready_i,
  output logic [511:0]                   m_rec_wdata_o,
  output logic [63:0]                    m_rec_wstrb_o,
  output logic                           m_rec_wlast_o,
  input  logic                           m_rec_bvalid_i,
  output logic                           m_rec_bready_o,
  /* verilator lint_off UNUSEDSIGNAL */  // one write in flight, single beats
  input  logic [9:0]                     m_rec_bid_i,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [1:0]                     m_rec_bresp_i,

  // Counter memory: AXI4, single beats
  output logic                           m_cnt_arvalid_o,
  input  logic                           m_cnt_arready_i,
  output logic [31:0]                    m_cnt_araddr_o,
  output logic [5:0]                     m_cnt_arid_o,
  input  logic                           m_cnt_rvalid_i,
  output logic                           m_cnt_rready_o,
  input  logic [127:0]                   m_cnt_rdata_i,
  input  logic [5:0]                     m_cnt_rid_i,
  input  logic [1:0]                     m_cnt_rresp_i,
  /* verilator lint_off UNUSEDSIGNAL */  // one write in flight, single beats
  input  logic                           m_cnt_rlast_i,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic                           m_cnt_awvalid_o,
  input  logic                           m_cnt_awready_i,
  output logic [31:0]                    m_cnt_awaddr_o,
  output logic [5:0]                     m_cnt_awid_o,
  output logic                           m_cnt_wvalid_o,
  input  logic                           m_cnt_wready_i,
  output logic [127:0]                   m_cnt_wdata_o,
  output logic [15:0]                    m_cnt_wstrb_o,
  output logic                           m_cnt_wlast_o,
  input  logic                           m_cnt_bvalid_i,
  output logic                           m_cnt_bready_o,
  input  logic [5:0]                     m_cnt_bid_i,
  input  logic [1:0]                     m_cnt_bresp_i,

  // Wires
  input  logic [NumPorts-1:0]            rx_valid_i,
  input  logic [NumPorts*512-1:0]        rx_data_i,
  input  logic [NumPorts*64-1:0]         rx_keep_i,
  input  logic [NumPorts-1:0]            rx_last_i,
  input  logic [NumPorts-1:0]            rx_err_i,
  output logic [NumPorts-1:0]            tx_valid_o,
  input  logic [NumPorts-1:0]            tx_ready_i,
  output logic [NumPorts*512-1:0]        tx_data_o,
  output logic [NumPorts*64-1:0]         tx_keep_o,
  output logic [NumPorts-1:0]            tx_last_o
);
  // Between the two halves.
  logic                                        lookup_enable;
  logic [14*32-1:0]                            hash_key;
  logic [NumPorts*48-1:0]                      port_mac;
  logic [NumPorts-1:0]                         port_enable;
  logic [NumPorts-1:0]                         vlan_strip;
  logic [NumPorts-1:0]                         hrx_valid;
  logic [NumPorts-1:0]                         hrx_ready;
  logic [NumPorts*512-1:0]                     hrx_data;
  /* verilator lint_off UNUSEDSIGNAL */  // the length in hrx_meta says the same
  logic [NumPorts*7-1:0]                       hrx_bytes;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [NumPorts-1:0]                         hrx_last;
  logic [NumPorts*slu_pkg::RxMetaBits-1:0]     hrx_meta;
  logic [NumPorts-1:0]                         htx_valid;
  logic [NumPorts-1:0]                         htx_ready;
  logic [NumPorts*512-1:0]                     htx_data;
  logic [NumPorts*7-1:0]                       htx_bytes;
  logic [NumPorts-1:0]                         htx_last;
  logic                                        tbl_valid;
  logic                                        tbl_ready;
  logic [2:0]                                  tbl_op;
  logic [31:0]                                 tbl_slot;
  logic [16:0]                                 tbl_tag;
  logic [255:0]                                tbl_nh;
  logic                                        tbl_done;
  logic                                        tbl_err;
  logic [1023:0]                               tbl_rdata;
  logic                                        rec_error;
  logic                                        fst_valid;
  logic                                        fst_ready;
  logic [31:0]                                 fst_flow_id;
  logic [15:0]                                 fst_bytes;
  logic                                        fst_count;
  logic [7:0]                                  pstat_port;
  logic [4:0]                                  pstat_idx;
  logic [63:0]                                 pstat_value;
  logic [31:0]                                 tags_valid;
  logic                                        busy;
  logic                                        flow_idle, host_idle;

  logic clk;
  slu_sim_clock u_clock (.clk_i, .clk_o(clk));

  slu_flow_engine #(
    .NumPorts(NumPorts), .BucketBits(BucketBits), .NextHopBits(NextHopBits)
  ) u_flow (
    .clk_i(clk), .rst_ni, .time_us_i,
    .flow_rst_i (1'b0),  // FLOW_RESET comes through the table port
    .rx_valid_i,
    .rx_data_i,
    .rx_keep_i,
    .rx_last_i,
    .rx_err_i,
    .tx_valid_o,
    .tx_ready_i,
    .tx_data_o,
    .tx_keep_o,
    .tx_last_o,
    .lookup_enable_i (lookup_enable),
    .hash_key_i      (hash_key),
    .port_mac_i      (port_mac),
    .port_enable_i   (port_enable),
    .vlan_strip_i    (vlan_strip),
    .hrx_valid_o     (hrx_valid),
    .hrx_ready_i     (hrx_ready),
    .hrx_data_o      (hrx_data),
    .hrx_bytes_o     (hrx_bytes),
    .hrx_last_o      (hrx_last),
    .hrx_meta_o      (hrx_meta),
    .htx_valid_i     (htx_valid),
    .htx_ready_o     (htx_ready),
    .htx_data_i      (htx_data),
    .htx_bytes_i     (htx_bytes),
    .htx_last_i      (htx_last),
    .tbl_valid_i     (tbl_valid),
    .tbl_ready_o     (tbl_ready),
    .tbl_op_i        (tbl_op),
    .tbl_slot_i      (tbl_slot),
    .tbl_tag_i       (tbl_tag),
    .tbl_nh_i        (tbl_nh),
    .tbl_done_o      (tbl_done),
    .tbl_err_o       (tbl_err),
    .tbl_rdata_o     (tbl_rdata),
    .m_rec_arvalid_o,
    .m_rec_arready_i,
    .m_rec_araddr_o,
    .m_rec_arid_o,
    .m_rec_arlen_o,
    .m_rec_rvalid_i,
    .m_rec_rready_o,
    .m_rec_rdata_i,
    .m_rec_rid_i,
    .m_rec_rresp_i,
    .m_rec_rlast_i,
    .rec_error_o     (rec_error),
    .fst_valid_o     (fst_valid),
    .fst_ready_i     (fst_ready),
    .fst_flow_id_o   (fst_flow_id),
    .fst_bytes_o     (fst_bytes),
    .fst_count_o     (fst_count),
    .pstat_port_i    (pstat_port),
    .pstat_idx_i     (pstat_idx),
    .pstat_value_o   (pstat_value),
    .tags_valid_o    (tags_valid),
    .busy_o          (busy),
    .idle_o          (flow_idle)
  );

  slu_host_if #(
    .NumPorts(NumPorts), .QueuesPerPort(QueuesPerPort), .BucketBits(BucketBits), .FlowIdBits(FlowIdBits), .NextHopBits(NextHopBits)
  ) u_host (
    .clk_i(clk), .rst_ni, .host_rst_i, .time_us_i, .link_i, .irq_o,
    .s_axil_awvalid_i,
    .s_axil_awready_o,
    .s_axil_awaddr_i,
    .s_axil_wvalid_i,
    .s_axil_wready_o,
    .s_axil_wdata_i,
    .s_axil_wstrb_i,
    .s_axil_bvalid_o,
    .s_axil_bready_i,
    .s_axil_bresp_o,
    .s_axil_arvalid_i,
    .s_axil_arready_o,
    .s_axil_araddr_i,
    .s_axil_rvalid_o,
    .s_axil_rready_i,
    .s_axil_rdata_o,
    .s_axil_rresp_o,
    .m_dma_arvalid_o,
    .m_dma_arready_i,
    .m_dma_araddr_o,
    .m_dma_arid_o,
    .m_dma_arlen_o,
    .m_dma_rvalid_i,
    .m_dma_rready_o,
    .m_dma_rdata_i,
    .m_dma_rid_i,
    .m_dma_rresp_i,
    .m_dma_rlast_i,
    .m_dma_awvalid_o,
    .m_dma_awready_i,
    .m_dma_awaddr_o,
    .m_dma_awid_o,
    .m_dma_awlen_o,
    .m_dma_wvalid_o,
    .m_dma_wready_i,
    .m_dma_wdata_o,
    .m_dma_wstrb_o,
    .m_dma_wlast_o,
    .m_dma_bvalid_i,
    .m_dma_bready_o,
    .m_dma_bid_i,
    .m_dma_bresp_i,
    .m_rec_awvalid_o,
    .m_rec_awready_i,
    .m_rec_awaddr_o,
    .m_rec_awlen_o,
    .m_rec_wvalid_o,
    .m_rec_wready_i,
    .m_rec_wdata_o,
    .m_rec_wlast_o,
    .m_rec_bvalid_i,
    .m_rec_bready_o,
    .m_rec_bresp_i,
    .m_cnt_arvalid_o,
    .m_cnt_arready_i,
    .m_cnt_araddr_o,
    .m_cnt_arid_o,
    .m_cnt_rvalid_i,
    .m_cnt_rready_o,
    .m_cnt_rdata_i,
    .m_cnt_rid_i,
    .m_cnt_rresp_i,
    .m_cnt_awvalid_o,
    .m_cnt_awready_i,
    .m_cnt_awaddr_o,
    .m_cnt_awid_o,
    .m_cnt_wvalid_o,
    .m_cnt_wready_i,
    .m_cnt_wdata_o,
    .m_cnt_wstrb_o,
    .m_cnt_bvalid_i,
    .m_cnt_bready_o,
    .m_cnt_bid_i,
    .m_cnt_bresp_i,
    .lookup_enable_o (lookup_enable),
    .hash_key_o      (hash_key),
    .port_mac_o      (port_mac),
    .port_enable_o   (port_enable),
    .vlan_strip_o    (vlan_strip),
    .hrx_valid_i     (hrx_valid),
    .hrx_ready_o     (hrx_ready),
    .hrx_data_i      (hrx_data),
    .hrx_last_i      (hrx_last),
    .hrx_meta_i      (hrx_meta),
    .htx_valid_o     (htx_valid),
    .htx_ready_i     (htx_ready),
    .htx_data_o      (htx_data),
    .htx_bytes_o     (htx_bytes),
    .htx_last_o      (htx_last),
    .tbl_valid_o     (tbl_valid),
    .tbl_ready_i     (tbl_ready),
    .tbl_op_o        (tbl_op),
    .tbl_slot_o      (tbl_slot),
    .tbl_tag_o       (tbl_tag),
    .tbl_nh_o        (tbl_nh),
    .tbl_done_i      (tbl_done),
    .tbl_err_i       (tbl_err),
    .tbl_rdata_i     (tbl_rdata),
    .rec_error_i     (rec_error),
    .fst_valid_i     (fst_valid),
    .fst_ready_o     (fst_ready),
    .fst_flow_id_i   (fst_flow_id),
    .fst_bytes_i     (fst_bytes),
    .fst_count_i     (fst_count),
    .pstat_port_o    (pstat_port),
    .pstat_idx_o     (pstat_idx),
    .pstat_value_i   (pstat_value),
    .tags_valid_i    (tags_valid),
    .flow_busy_i     (busy),
    .idle_o          (host_idle)
  );

  // What the host half does not vary.
  assign m_rec_awid_o  = '0;
  assign m_rec_wstrb_o = '1;
  assign m_cnt_wlast_o = 1'b1;

  assign idle_o = flow_idle && host_idle;
endmodule
