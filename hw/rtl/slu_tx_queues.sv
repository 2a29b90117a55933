// Transmit queues of one wire port: frames from host buffers to the flow engine's egress.
//
// Queues take turns, a frame each. A frame is read whole (any alignment, cut by slu_dma at 4 KiB), aligned, kept in a FIFO,
// and offered to the wire only when all of it arrived without error; else it is dropped and counted (bad), like a
// descriptor with a bad length. The number of descriptors consumed is written back after reads, coalesced.
// hold_i (a reset is coming): nothing new is begun. rst_host_ni, only while busy_o is 0, resets queues; frames in the FIFO
// still go out. rst_ni resets all.
module slu_tx_queues #(
  parameter int unsigned NumQueues = 2,
  parameter int unsigned FifoBits  = 9  // log2 of 64-byte beats; 9216 bytes must fit
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    rst_host_ni,
  input  logic                    hold_i,
  input  logic                    dma_enable_i,

  // slu_axil_regs
  input  logic [NumQueues-1:0]    enable_i,
  input  logic [NumQueues-1:0]    restart_i,
  input  logic [NumQueues*64-1:0] ring_i,
  input  logic [NumQueues*64-1:0] wb_i,
  input  logic [NumQueues*4-1:0]  log2_i,
  input  logic                    db_valid_i,
  input  logic [7:0]              db_queue_i,
  input  logic [31:0]             db_value_i,
  output logic                    db_bad_o,
  output logic [NumQueues-1:0]    fault_o,
  output logic [NumQueues-1:0]    busy_queue_o,
  output logic [NumQueues*32-1:0] head_o,  // descriptors consumed, free-running

  // slu_dma: descriptor (0) and payload (1) reads, write-back
  output logic [1:0]              rd_valid_o,
  input  logic [1:0]              rd_ready_i,
  output logic [127:0]            rd_addr_o,
  output logic [31:0]             rd_bytes_o,
  input  logic [1:0]              rsp_valid_i,
  input  logic [511:0]            rsp_data_i,
  input  logic                    rsp_err_i,
  input  logic                    rsp_last_i,
  output logic                    wr_valid_o,
  input  logic                    wr_ready_i,
  output logic [63:0]             wr_addr_o,
  output logic                    wd_valid_o,
  input  logic                    wd_ready_i,
  output logic [63:0]             wd_data_o,
  input  logic                    done_valid_i,

  // slu_flow_engine
  output logic                    htx_valid_o,
  input  logic                    htx_ready_i,
  output logic [511:0]            htx_data_o,
  output logic [6:0]              htx_bytes_o,
  output logic                    htx_last_o,

  output logic                    bad_o,   // pulse: a descriptor was skipped
  output logic                    busy_o,  // host memory is being read or written
  output logic                    idle_o
);
  localparam int unsigned QW = NumQueues > 1 ? $clog2(NumQueues) : 1;
  localparam int unsigned Beats = 1 << FifoBits;
  localparam int unsigned PendBits = 4;

  // -- issue: descriptor, check, payload read --
  typedef enum logic [2:0] {Idle, Read, Check, Room, Request, Skip} state_e;
  state_e               state_q;
  logic [QW-1:0]        queue_q, next;
  logic [NumQueues-1:0] avail, desc_busy;
  logic [NumQueues-1:0] unused_empty;
  logic [127:0]         desc;
  slu_regs_pkg::tx_desc_t desc_s;
  logic [63:0]          addr_q;
  logic [15:0]          len_q;
  logic                 desc_idle, desc_pop;
  logic [FifoBits:0]    used_q;  // beats in the FIFO or on their way
  logic [FifoBits:0]    need;
  logic                 issue, out_take, drop_frame;
  logic [FifoBits:0]    drop_beats;

  assign desc_s = desc;

  slu_desc_fetch #(
    .NumQueues(NumQueues)
  ) u_desc (
    .clk_i,
    .rst_ni     (rst_host_ni),
    .hold_i     (hold_i || !dma_enable_i),
    .enable_i, .restart_i, .ring_i, .log2_i, .db_valid_i, .db_queue_i, .db_value_i, .db_bad_o, .fault_o,
    .busy_o     (desc_busy),
    .avail_o    (avail),
    .empty_o    (unused_empty),
    .get_queue_i(8'(queue_q)),
    .get_pop_i  (desc_pop),
    .desc_o     (desc),
    .rd_valid_o (rd_valid_o[0]),
    .rd_ready_i (rd_ready_i[0]),
    .rd_addr_o  (rd_addr_o[63:0]),
    .rd_bytes_o (rd_bytes_o[15:0]),
    .rsp_valid_i(rsp_valid_i[0]),
    .rsp_data_i, .rsp_err_i, .rsp_last_i,
    .idle_o     (desc_idle)
  );

  always_comb begin
    next = queue_q;
    for (int i = NumQueues; i > 0; i--) begin
      if (avail[QW'((32'(queue_q) + 32'(i)) % NumQueues)]) next = QW'((32'(queue_q) + 32'(i)) % NumQueues);
    end
  end

  // -- frames being read, oldest first --
  logic [QW-1:0]       pend_queue [1<<PendBits];
  logic                pend_skip  [1<<PendBits];
  logic [5:0]          pend_off   [1<<PendBits];
  logic [15:0]         pend_len   [1<<PendBits];
  logic [PendBits-1:0] pend_in_q, pend_out_q;
  logic                pend_full, pend_any, pend_push, retire;
  assign pend_full = pend_in_q + PendBits'(1) == pend_out_q;
  assign pend_any  = pend_in_q != pend_out_q;

  assign need              = (FifoBits+1)'((32'(len_q) + 32'd63) >> 6);
  assign rd_valid_o[1]     = state_q == Request;
  assign rd_addr_o[127:64] = addr_q;
  assign rd_bytes_o[31:16] = len_q;
  assign issue             = state_q == Request && rd_ready_i[1];
  assign pend_push         = issue || state_q == Skip;
  assign desc_pop          = pend_push;

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      Idle:
      if (|avail && !hold_i && dma_enable_i && !pend_full) begin
        queue_q <= next;
        state_q <= Read;
      end
      Read: state_q <= enable_i[queue_q] ? Check : Idle;
      Check: begin
        addr_q <= desc_s.addr;
        len_q  <= desc_s.len;
        if (!enable_i[queue_q]) state_q <= Idle;
        else if (desc_s.len < 16'(slu_regs_pkg::FRAME_MIN_BYTES) || desc_s.len > 16'(slu_regs_pkg::FRAME_MAX_BYTES)) state_q <= Skip;
        else state_q <= Room;
      end
      Room:
      if (!enable_i[queue_q] || hold_i || !dma_enable_i) state_q <= Idle;
      else if (used_q + need <= (FifoBits+1)'(Beats)) state_q <= Request;
      Request: if (rd_ready_i[1]) state_q <= Idle;
      default: state_q <= Idle;
    endcase
    if (pend_push) begin
      pend_queue[pend_in_q] <= queue_q;
      pend_skip[pend_in_q]  <= state_q == Skip;
      pend_off[pend_in_q]   <= addr_q[5:0];
      pend_len[pend_in_q]   <= len_q;
      pend_in_q             <= pend_in_q + PendBits'(1);
    end
    if (issue || out_take || drop_frame) begin
      used_q <= used_q + (issue ? need : '0) - (FifoBits+1)'(out_take) - (drop_frame ? drop_beats : '0);
    end
    if (!rst_host_ni) begin
      state_q   <= Idle;
      queue_q   <= '0;
      pend_in_q <= '0;
    end
    if (!rst_ni) used_q <= '0;
  end

  // -- alignment: a beat waits for the next of its frame and takes what it lacks from it --
  // The answers of slu_dma cannot be held; the last beat of a frame leaves in the clock after it came.
  logic                head_skip;
  logic [5:0]          head_off;
  logic                cur_valid_q, cur_last_q, cur_err_q;
  logic [511:0]        cur_q;
  logic [5:0]          cur_off_q;
  logic [15:0]         cur_left_q;  // bytes of the frame not yet in the FIFO
  logic [QW-1:0]       cur_queue_q;
  logic                beat_in, emit, finish, bad_frame;
  logic                mid_q;       // beats of the oldest frame have come

  assign head_skip = pend_skip[pend_out_q];
  assign head_off  = pend_off[pend_out_q];
  assign beat_in   = rsp_valid_i[1];
  // The oldest is retired from the list when its last beat comes; a skipped one when all before it left.
  assign retire    = pend_any && (head_skip ? !cur_valid_q : beat_in && rsp_last_i);
  assign emit      = cur_valid_q && (cur_last_q || beat_in) && cur_left_q != '0;
  assign finish    = cur_valid_q && cur_last_q;
  assign bad_frame = cur_err_q;

  // -- FIFO: {last, bytes, data}; committed frame by frame --
  logic [519:0]        fifo [Beats];
  logic [FifoBits-1:0] write_q, commit_q, read_q;
  logic [FifoBits-1:0] write_next;
  logic [519:0]        out_q;
  logic                out_valid_q;
  logic [6:0]          emit_bytes;

  assign emit_bytes = cur_left_q > 16'd64 ? 7'd64 : cur_left_q[6:0];
  assign write_next = write_q + FifoBits'(emit);
  assign drop_frame = finish && bad_frame;
  assign drop_beats = (FifoBits+1)'((32'(frame_len_q) + 32'd63) >> 6);
  logic [15:0]         frame_len_q;

  always_ff @(posedge clk_i) begin
    if (emit) begin
      fifo[write_q] <= {cur_left_q <= 16'd64, emit_bytes,
                        512'({cur_last_q ? 512'd0 : rsp_data_i, cur_q} >> {cur_off_q, 3'b000})};
    end
    if (beat_in) begin
      cur_q       <= rsp_data_i;
      cur_last_q  <= rsp_last_i;
      cur_valid_q <= 1'b1;
      mid_q       <= !rsp_last_i;
      if (!mid_q) begin
        cur_off_q   <= head_off;
        cur_left_q  <= pend_len[pend_out_q];
        frame_len_q <= pend_len[pend_out_q];
        cur_queue_q <= pend_queue[pend_out_q];
        cur_err_q   <= rsp_err_i;
      end else begin
        cur_err_q  <= cur_err_q | rsp_err_i;
        cur_left_q <= emit && !(cur_left_q <= 16'd64) ? cur_left_q - 16'd64 : emit ? 16'd0 : cur_left_q;
      end
    end else if (finish) begin
      cur_valid_q <= 1'b0;
    end
    if (finish) begin
      write_q  <= bad_frame ? commit_q : write_next;
      commit_q <= bad_frame ? commit_q : write_next;
    end else if (emit) begin
      write_q <= write_next;
    end
    if (retire) pend_out_q <= pend_out_q + PendBits'(1);
    bad_o <= drop_frame || (retire && head_skip);
    if (!rst_host_ni) begin
      pend_out_q  <= '0;
      cur_valid_q <= 1'b0;
      mid_q       <= 1'b0;
      bad_o       <= 1'b0;
    end
    if (!rst_ni) begin
      write_q  <= '0;
      commit_q <= '0;
    end
  end

  // -- out --
  assign out_take = read_q != commit_q && (!out_valid_q || htx_ready_i);
  always_ff @(posedge clk_i) begin
    if (out_take) begin
      out_q       <= fifo[read_q];
      read_q      <= read_q + FifoBits'(1);
      out_valid_q <= 1'b1;
    end else if (htx_ready_i) begin
      out_valid_q <= 1'b0;
    end
    if (!rst_ni) begin
      read_q      <= '0;
      out_valid_q <= 1'b0;
    end
  end
  assign htx_valid_o = out_valid_q;
  assign htx_data_o  = out_q[511:0];
  assign htx_bytes_o = out_q[518:512];
  assign htx_last_o  = out_q[519];

  // -- heads and write-back --
  typedef enum logic [1:0] {WbIdle, WbRequest, WbData, WbWait} wb_state_e;
  wb_state_e            wb_state_q;
  logic [QW-1:0]        wb_queue_q;
  logic [31:0]          head_q [NumQueues];
  logic [31:0]          wb_head_q;
  logic [NumQueues-1:0] wb_due_q;
  logic [PendBits:0]    flight_q [NumQueues];
  logic                 count;
  logic [QW-1:0]        count_queue;

  // A descriptor is consumed when its frame is in the FIFO or dropped.
  assign count       = finish || (retire && head_skip);
  assign count_queue = finish ? cur_queue_q : pend_queue[pend_out_q];
  assign wr_valid_o  = wb_state_q == WbRequest;
  assign wr_addr_o   = wb_i[wb_queue_q*64+:64];
  assign wd_valid_o  = wb_state_q == WbData;
  assign wd_data_o   = {32'd0, wb_head_q};

  always_ff @(posedge clk_i) begin
    if (count) head_q[count_queue] <= head_q[count_queue] + 32'd1;
    unique case (wb_state_q)
      WbIdle:
      if (|wb_due_q) begin
        for (int q = 0; q < NumQueues; q++) if (wb_due_q[q]) wb_queue_q <= QW'(q);
        wb_state_q <= WbRequest;
      end
      WbRequest:
      if (wr_ready_i) begin
        wb_head_q            <= head_q[wb_queue_q];
        wb_due_q[wb_queue_q] <= 1'b0;
        wb_state_q           <= WbData;
      end
      WbData: if (wd_ready_i) wb_state_q <= WbWait;
      default: if (done_valid_i) wb_state_q <= WbIdle;
    endcase
    if (count) wb_due_q[count_queue] <= 1'b1;
    if (pend_push || count) begin
      for (int q = 0; q < NumQueues; q++) begin
        flight_q[q] <= flight_q[q] + (PendBits+1)'(pend_push && queue_q == QW'(q))
          - (PendBits+1)'(count && count_queue == QW'(q));
      end
    end
    for (int q = 0; q < NumQueues; q++) begin
      if (!rst_host_ni || restart_i[q]) head_q[q] <= '0;
      if (!rst_host_ni) flight_q[q] <= '0;
    end
    if (!rst_host_ni) begin
      wb_state_q <= WbIdle;
      wb_due_q   <= '0;
    end
  end

  always_comb begin
    for (int q = 0; q < NumQueues; q++) begin
      head_o[q*32+:32] = head_q[q];
      busy_queue_o[q]  = desc_busy[q] || flight_q[q] != '0 || wb_due_q[q]
        || (wb_state_q != WbIdle && wb_queue_q == QW'(q)) || (state_q != Idle && queue_q == QW'(q));
    end
  end

  assign busy_o = state_q != Idle || pend_any || cur_valid_q || wb_state_q != WbIdle || |wb_due_q || |desc_busy;
  assign idle_o = !busy_o && desc_idle && (avail == '0 || hold_i || !dma_enable_i) && read_q == commit_q && !out_valid_q;
endmodule
