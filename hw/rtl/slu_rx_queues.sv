// Receive queues: frames from the flow engine into host buffers, then their completions.
//
// One frame at a time: queue by RSS or by record, descriptor, payload write; the ports take turns. A completion is written
// after the last B response of its payload; a payload that failed completes with length 0, so that the host gets its
// buffer back. Dropped and counted: no such queue or queue off (off), no descriptor given by the host (no_desc), frame
// longer than the buffer or buffer not 64-byte aligned (too_long; the descriptor is used for the next frame).
// hold_i (a reset is coming): no new frame is begun. Reset: host domain, only while busy_o is 0.
module slu_rx_queues #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned QueuesPerPort = 2,
  localparam int unsigned NumQueues    = NumPorts * QueuesPerPort
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    hold_i,
  input  logic                    dma_enable_i,

  // slu_axil_regs
  input  logic [NumQueues-1:0]    enable_i,
  input  logic [NumQueues-1:0]    restart_i,
  input  logic [NumQueues*64-1:0] ring_i,
  input  logic [NumQueues*64-1:0] cpl_i,
  input  logic [NumQueues*4-1:0]  log2_i,
  input  logic                    db_valid_i,
  input  logic [7:0]              db_queue_i,
  input  logic [31:0]             db_value_i,
  output logic                    db_bad_o,
  output logic [NumQueues-1:0]    fault_o,
  output logic [NumQueues-1:0]    busy_queue_o,
  output logic [NumQueues*32-1:0] written_o,  // completions in host memory, free-running
  input  logic                    rss_write_i,
  input  logic [7:0]              rss_port_i,
  input  logic [5:0]              rss_word_i,
  input  logic [31:0]             rss_wdata_i,
  output logic                    rss_bad_o,
  output logic [31:0]             rss_rdata_o,
  output logic                    rss_init_o,

  // slu_flow_engine
  input  logic [NumPorts-1:0]     hrx_valid_i,
  output logic [NumPorts-1:0]     hrx_ready_o,
  input  logic [NumPorts*512-1:0] hrx_data_i,
  input  logic [NumPorts-1:0]     hrx_last_i,
  input  logic [NumPorts*slu_pkg::RxMetaBits-1:0] hrx_meta_i,

  // slu_dma: descriptor reads
  output logic                    rd_valid_o,
  input  logic                    rd_ready_i,
  output logic [63:0]             rd_addr_o,
  output logic [15:0]             rd_bytes_o,
  input  logic                    rsp_valid_i,
  input  logic [511:0]            rsp_data_i,
  input  logic                    rsp_err_i,
  input  logic                    rsp_last_i,
  // slu_dma: payload (0) and completion (1) writes
  output logic [1:0]              wr_valid_o,
  input  logic [1:0]              wr_ready_i,
  output logic [127:0]            wr_addr_o,
  output logic [31:0]             wr_bytes_o,
  output logic [1:0]              wd_valid_o,
  input  logic [1:0]              wd_ready_i,
  output logic [511:0]            wd_payload_o,
  output logic [255:0]            wd_cpl_o,
  input  logic [1:0]              done_valid_i,
  input  logic                    done_err_i,

  // Drop pulses of a port
  output logic [NumPorts-1:0]     drop_off_o,
  output logic [NumPorts-1:0]     drop_no_desc_o,
  output logic [NumPorts-1:0]     drop_too_long_o,

  output logic                    busy_o,
  output logic                    idle_o
);
  localparam int unsigned PW = NumPorts > 1 ? $clog2(NumPorts) : 1;
  localparam int unsigned QW = NumQueues > 1 ? $clog2(NumQueues) : 1;
  // Completions whose payload or own write is not finished; one place stays free.
  localparam int unsigned PendBits = 4;
  localparam int unsigned PendMax  = 1 << PendBits;

  typedef enum logic [3:0] {Idle, Hash, Pick, Read, Check, Request, Data, Drop} state_e;
  state_e            state_q;
  logic [PW-1:0]     port_q;
  slu_pkg::rx_meta_t meta_q;
  logic [QW-1:0]     queue_q;
  logic              queue_bad_q;
  logic [31:0]       hash_q;
  logic [63:0]       addr_q;
  logic [PW-1:0]     next_port;
  logic              beat, last;

  logic [NumQueues-1:0] avail, empty;
  logic [127:0]      desc;
  slu_regs_pkg::rx_desc_t desc_s;
  logic              desc_idle, desc_pop;
  logic [NumQueues-1:0] desc_busy;

  logic              rss_start_q, rss_done, rss_busy;
  logic [31:0]       rss_hash;
  logic [7:0]        rss_queue;
  logic              is_ip;

  logic [PendBits:0] pend_count_q;
  logic              pend_push;

  assign desc_s = desc;

  slu_desc_fetch #(
    .NumQueues(NumQueues)
  ) u_desc (
    .clk_i, .rst_ni,
    .hold_i     (hold_i || !dma_enable_i),
    .enable_i, .restart_i, .ring_i, .log2_i, .db_valid_i, .db_queue_i, .db_value_i, .db_bad_o, .fault_o,
    .busy_o     (desc_busy),
    .avail_o    (avail),
    .empty_o    (empty),
    .get_queue_i(8'(queue_q)),
    .get_pop_i  (desc_pop),
    .desc_o     (desc),
    .rd_valid_o, .rd_ready_i, .rd_addr_o, .rd_bytes_o, .rsp_valid_i, .rsp_data_i, .rsp_err_i, .rsp_last_i,
    .idle_o     (desc_idle)
  );

  slu_rss #(
    .NumPorts(NumPorts), .QueuesPerPort(QueuesPerPort)
  ) u_rss (
    .clk_i, .rst_ni,
    .reg_write_i(rss_write_i),
    .reg_port_i (rss_port_i),
    .reg_word_i (rss_word_i),
    .reg_wdata_i(rss_wdata_i),
    .reg_bad_o  (rss_bad_o),
    .reg_rdata_o(rss_rdata_o),
    .start_i    (rss_start_q),
    .port_i     (8'(port_q)),
    .ipv6_i     (meta_q.flags[slu_regs_pkg::RXF_IPV6]),
    .src_i      (meta_q.src),
    .dst_i      (meta_q.dst),
    .ports_i    ({meta_q.dport, meta_q.sport}),
    .done_o     (rss_done),
    .hash_o     (rss_hash),
    .queue_o    (rss_queue),
    .init_o     (rss_init_o),
    .busy_o     (rss_busy)
  );

  assign is_ip = meta_q.flags[slu_regs_pkg::RXF_IPV4] || meta_q.flags[slu_regs_pkg::RXF_IPV6];

  // The other port first, if it has a frame.
  always_comb begin
    next_port = port_q;
    for (int i = NumPorts; i > 0; i--) begin
      if (hrx_valid_i[PW'((32'(port_q) + 32'(i)) % NumPorts)]) next_port = PW'((32'(port_q) + 32'(i)) % NumPorts);
    end
  end

  always_comb begin
    hrx_ready_o         = '0;
    hrx_ready_o[port_q] = state_q == Drop || (state_q == Data && wd_ready_i[0]);
  end
  assign beat = hrx_valid_i[port_q] && hrx_ready_o[port_q];
  assign last = hrx_last_i[port_q];

  assign wr_valid_o[0]      = state_q == Request;
  assign wr_addr_o[63:0]    = addr_q;
  assign wr_bytes_o[15:0]   = meta_q.len;
  assign wd_valid_o[0]      = state_q == Data && hrx_valid_i[port_q];
  // Wide only when it matters: the simulator pays for every word moved.
  always_comb begin
    wd_payload_o = '0;
    if (state_q == Data) wd_payload_o = hrx_data_i[port_q*512+:512];
  end
  assign desc_pop  = state_q == Request && wr_ready_i[0];
  assign pend_push = desc_pop;

  always_ff @(posedge clk_i) begin
    drop_off_o      <= '0;
    drop_no_desc_o  <= '0;
    drop_too_long_o <= '0;
    rss_start_q     <= 1'b0;
    unique case (state_q)
      Idle:
      if (|hrx_valid_i && !hold_i && !rss_busy) begin
        port_q      <= next_port;
        meta_q      <= hrx_meta_i[next_port*slu_pkg::RxMetaBits+:slu_pkg::RxMetaBits];
        rss_start_q <= 1'b1;
        state_q     <= Hash;
      end
      Hash:
      if (rss_done) begin
        hash_q      <= rss_hash;
        queue_q     <= QW'(32'(port_q) * QueuesPerPort) + QW'(meta_q.queue == 16'hFFFF ? 16'(rss_queue) : meta_q.queue);
        queue_bad_q <= meta_q.queue != 16'hFFFF && meta_q.queue >= 16'(QueuesPerPort);
        state_q     <= Pick;
      end
      Pick:
      if (queue_bad_q || !enable_i[queue_q] || !dma_enable_i || hold_i) begin
        drop_off_o[port_q] <= 1'b1;
        state_q            <= Drop;
      end else if (avail[queue_q]) begin
        if (pend_count_q < (PendBits+1)'(PendMax - 1)) state_q <= Read;
      end else if (empty[queue_q]) begin
        drop_no_desc_o[port_q] <= 1'b1;
        state_q                <= Drop;
      end
      Read: state_q <= Check;
      Check: begin
        addr_q <= desc_s.addr;
        if (!enable_i[queue_q] || !dma_enable_i) begin
          drop_off_o[port_q] <= 1'b1;
          state_q            <= Drop;
        end else if (32'(meta_q.len) > desc_s.len || desc_s.addr[5:0] != '0) begin
          drop_too_long_o[port_q] <= 1'b1;
          state_q                 <= Drop;
        end else begin
          state_q <= Request;
        end
      end
      Request: if (wr_ready_i[0]) state_q <= Data;
      default: if (beat && last) state_q <= Idle;
    endcase
    if (!rst_ni) begin
      state_q     <= Idle;
      port_q      <= '0;
      rss_start_q <= 1'b0;
    end
  end

  // -- completions --
  slu_regs_pkg::rx_completion_t cpl_d, cpl_q;
  logic [255:0]      pend_mem [PendMax];
  logic [QW-1:0]     pend_queue [PendMax];
  logic [PendMax-1:0] pend_err_q;
  logic [PendBits-1:0] push_at_q, paid_at_q, send_at_q, done_at_q;
  logic [31:0]       index_q   [NumQueues];  // of the next completion
  logic [31:0]       written_q [NumQueues];
  logic [PendBits:0] flight_q  [NumQueues];

  always_comb begin
    cpl_d           = '0;
    cpl_d.len       = meta_q.len;
    cpl_d.reason    = meta_q.reason;
    cpl_d.port      = meta_q.port;
    cpl_d.rss_hash  = hash_q;
    cpl_d.flow_id   = meta_q.flow_id;
    cpl_d.mark      = meta_q.mark;
    cpl_d.vlan_tci  = meta_q.vlan_tci;
    cpl_d.flags     = meta_q.flags | (16'(is_ip) << slu_regs_pkg::RXF_RSS);
    cpl_d.l3_off    = meta_q.l3_off;
    cpl_d.l4_off    = meta_q.l4_off;
    cpl_d.tcp_flags = meta_q.tcp_flags;
    cpl_d.proto     = meta_q.proto;
    cpl_d.time_us   = meta_q.time_us;
  end

  typedef enum logic [1:0] {CplIdle, CplRequest, CplData} cpl_state_e;
  cpl_state_e    cpl_state_q;
  logic [QW-1:0] cpl_queue_q;
  logic [QW-1:0] done_queue;
  logic [31:0]   cpl_index;

  assign cpl_index        = index_q[cpl_queue_q];
  assign done_queue       = pend_queue[done_at_q];
  assign wr_valid_o[1]    = cpl_state_q == CplRequest;
  assign wr_addr_o[127:64] = cpl_i[cpl_queue_q*64+:64]
    + {32'd0, (cpl_index & ((32'd1 << log2_i[cpl_queue_q*4+:4]) - 32'd1)) << 5};
  assign wr_bytes_o[31:16] = 16'd32;
  assign wd_valid_o[1]    = cpl_state_q == CplData;
  assign wd_cpl_o         = cpl_q;

  always_ff @(posedge clk_i) begin
    if (pend_push) begin
      pend_mem[push_at_q]   <= cpl_d;
      pend_queue[push_at_q] <= queue_q;
      push_at_q             <= push_at_q + PendBits'(1);
    end
    if (done_valid_i[0]) begin
      pend_err_q[paid_at_q] <= done_err_i;
      paid_at_q             <= paid_at_q + PendBits'(1);
    end
    unique case (cpl_state_q)
      CplIdle:
      if (send_at_q != paid_at_q) begin
        cpl_q       <= pend_mem[send_at_q];
        cpl_queue_q <= pend_queue[send_at_q];
        cpl_state_q <= CplRequest;
      end
      CplRequest:
      if (wr_ready_i[1]) begin
        cpl_q.pass <= 32'd1 + (cpl_index >> log2_i[cpl_queue_q*4+:4]);
        if (pend_err_q[send_at_q]) cpl_q.len <= '0;
        cpl_state_q <= CplData;
      end
      default:
      if (wd_ready_i[1]) begin
        index_q[cpl_queue_q] <= cpl_index + 32'd1;
        send_at_q            <= send_at_q + PendBits'(1);
        cpl_state_q          <= CplIdle;
      end
    endcase
    if (done_valid_i[1]) begin
      written_q[done_queue] <= written_q[done_queue] + 32'd1;
      done_at_q             <= done_at_q + PendBits'(1);
    end
    if (pend_push || done_valid_i[1]) begin
      pend_count_q <= pend_count_q + (PendBits+1)'(pend_push) - (PendBits+1)'(done_valid_i[1]);
      for (int q = 0; q < NumQueues; q++) begin
        flight_q[q] <= flight_q[q] + (PendBits+1)'(pend_push && queue_q == QW'(q))
          - (PendBits+1)'(done_valid_i[1] && done_queue == QW'(q));
      end
    end
    for (int q = 0; q < NumQueues; q++) begin
      if (!rst_ni || restart_i[q]) begin
        index_q[q]   <= '0;
        written_q[q] <= '0;
      end
      if (!rst_ni) flight_q[q] <= '0;
    end
    if (!rst_ni) begin
      cpl_state_q  <= CplIdle;
      pend_count_q <= '0;
      push_at_q    <= '0;
      paid_at_q    <= '0;
      send_at_q    <= '0;
      done_at_q    <= '0;
    end
  end

  always_comb begin
    for (int q = 0; q < NumQueues; q++) begin
      written_o[q*32+:32] = written_q[q];
      busy_queue_o[q]     = desc_busy[q] || flight_q[q] != '0 || (state_q == Request && queue_q == QW'(q));
    end
  end

  assign busy_o = state_q != Idle || pend_count_q != '0 || |desc_busy;
  assign idle_o = !busy_o && desc_idle && !rss_busy;
endmodule
