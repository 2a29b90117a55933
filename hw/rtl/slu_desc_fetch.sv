// Prefetches descriptors of the rings of several queues: four of 16 bytes in a 64-byte line.
//
// One request of up to Lines lines is in flight at a time, for the queues in turn. A line that is only partly filled by the
// host is fetched again later; what was consumed of it is never looked at twice.
// A doorbell that claims more descriptors than the ring holds, or is for a queue that is off, is refused (db_bad_o).
// A failed fetch raises fault_o of the queue: its owner switches it off.
// restart_i of a queue comes with enable_i, only while busy_o of the queue is 0.
module slu_desc_fetch #(
  parameter int unsigned NumQueues = 2,
  parameter int unsigned Lines     = 8  // of a queue; a power of two
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    hold_i,  // begin nothing new

  // Queues
  input  logic [NumQueues-1:0]    enable_i,
  input  logic [NumQueues-1:0]    restart_i,
  input  logic [NumQueues*64-1:0] ring_i,  // 64-byte aligned
  input  logic [NumQueues*4-1:0]  log2_i,
  input  logic                    db_valid_i,
  input  logic [7:0]              db_queue_i,
  input  logic [31:0]             db_value_i,
  output logic                    db_bad_o,  // with db_valid_i
  output logic [NumQueues-1:0]    fault_o,
  output logic [NumQueues-1:0]    busy_o,

  // Consumer: descriptors of get_queue_i; desc_o is its oldest, one clock after get_queue_i and any pop before.
  output logic [NumQueues-1:0]    avail_o,
  output logic [NumQueues-1:0]    empty_o,  // the host gave none that is not consumed
  input  logic [7:0]              get_queue_i,
  input  logic                    get_pop_i,
  output logic [127:0]            desc_o,

  // slu_dma
  output logic                    rd_valid_o,
  input  logic                    rd_ready_i,
  output logic [63:0]             rd_addr_o,
  output logic [15:0]             rd_bytes_o,
  input  logic                    rsp_valid_i,
  input  logic [511:0]            rsp_data_i,
  input  logic                    rsp_err_i,
  input  logic                    rsp_last_i,

  output logic                    idle_o
);
  localparam int unsigned QW = NumQueues > 1 ? $clog2(NumQueues) : 1;
  localparam int unsigned LW = $clog2(Lines);

  logic [31:0] tail_q  [NumQueues];  // given by the host
  logic [31:0] fetch_q [NumQueues];  // in the cache
  logic [31:0] head_q  [NumQueues];  // consumed
  logic [511:0] cache [(1<<QW)*Lines];

  logic [NumQueues-1:0] want;
  always_comb begin
    for (int q = 0; q < NumQueues; q++) begin
      avail_o[q] = enable_i[q] && head_q[q] != fetch_q[q];
      empty_o[q] = head_q[q] == tail_q[q];
      want[q]    = enable_i[q] && tail_q[q] != fetch_q[q] && (fetch_q[q] >> 2) - (head_q[q] >> 2) < 32'(Lines);
    end
  end

  // -- doorbells --
  logic [QW-1:0] dq;
  logic [31:0]   db_ahead;
  assign dq       = db_queue_i[QW-1:0];
  assign db_ahead = db_value_i - head_q[dq];
  assign db_bad_o = !enable_i[dq] || db_ahead > (32'd1 << log2_i[dq*4+:4]);

  // -- fetch --
  typedef enum logic [1:0] {Idle, Size, Request, Wait} state_e;
  state_e        state_q;
  logic [QW-1:0] sel_q;
  logic [31:0]   tail_at_q;    // tail of the queue when its fetch began
  logic [31:0]   fetch_to_q;   // what the cache reaches when it ends
  logic [LW-1:0] line_q;       // of the next beat
  logic          err_q;
  logic          stale_q;      // the queue was switched off meanwhile
  logic [QW-1:0] next;
  logic [31:0]   first, room, given, to_end;
  logic [31:0]   lines;
  logic [31:0]   short_by;

  always_comb begin
    next = sel_q;
    for (int i = NumQueues; i > 0; i--) begin
      if (want[QW'((32'(sel_q) + 32'(i)) % NumQueues)]) next = QW'((32'(sel_q) + 32'(i)) % NumQueues);
    end
  end

  assign first  = fetch_q[sel_q] >> 2;
  assign room   = 32'(Lines) - (first - (head_q[sel_q] >> 2));
  assign given  = ((tail_q[sel_q] + 32'd3) >> 2) - first;
  assign to_end = (32'd1 << (log2_i[sel_q*4+:4] - 4'd2)) - (first & ((32'd1 << (log2_i[sel_q*4+:4] - 4'd2)) - 32'd1));

  always_comb begin
    lines = room < given ? room : given;
    if (to_end < lines) lines = to_end;
  end

  assign short_by   = tail_at_q - fetch_to_q;  // negative: the last line is not full
  assign rd_valid_o = state_q == Request;

  always_ff @(posedge clk_i) begin
    fault_o <= '0;
    if (state_q != Idle && (!enable_i[sel_q] || restart_i[sel_q])) stale_q <= 1'b1;
    unique case (state_q)
      Idle: begin
        stale_q <= 1'b0;
        err_q   <= 1'b0;
        if (|want && !hold_i) begin
          sel_q   <= next;
          state_q <= Size;
        end
      end
      Size: begin
        tail_at_q  <= tail_q[sel_q];
        fetch_to_q <= (first + lines) << 2;
        line_q     <= first[LW-1:0];
        rd_addr_o  <= ring_i[sel_q*64+:64] + {32'd0, (first << 6) & ((32'd1 << (6'(log2_i[sel_q*4+:4]) + 6'd4)) - 32'd1)};
        rd_bytes_o <= 16'(lines << 6);
        // The queue may have gone while it was chosen.
        state_q    <= want[sel_q] && lines != '0 ? Request : Idle;
      end
      Request: if (rd_ready_i) state_q <= Wait;
      default:
      if (rsp_valid_i) begin
        cache[{sel_q, line_q}] <= rsp_data_i;
        line_q <= line_q + LW'(1);
        err_q  <= err_q | rsp_err_i;
        if (rsp_last_i) begin
          state_q <= Idle;
          if (!stale_q && enable_i[sel_q]) begin
            if (err_q || rsp_err_i) fault_o[sel_q] <= 1'b1;
            else fetch_q[sel_q] <= short_by[31] ? tail_at_q : fetch_to_q;
          end
        end
      end
    endcase
    if (db_valid_i && !db_bad_o) tail_q[dq] <= db_value_i;
    if (get_pop_i) head_q[get_queue_i[QW-1:0]] <= head_q[get_queue_i[QW-1:0]] + 32'd1;
    for (int q = 0; q < NumQueues; q++) begin
      if (!rst_ni || restart_i[q]) begin
        tail_q[q]  <= '0;
        fetch_q[q] <= '0;
        head_q[q]  <= '0;
      end
    end
    if (!rst_ni) begin
      state_q <= Idle;
      sel_q   <= '0;
      stale_q <= 1'b0;
    end
  end

  always_comb begin
    busy_o = '0;
    if (state_q != Idle) busy_o[sel_q] = 1'b1;
  end

  // -- consumer --
  logic [QW-1:0] gq;
  logic [31:0]   get_at;
  assign gq     = get_queue_i[QW-1:0];
  assign get_at = head_q[gq] + 32'(get_pop_i);

  always_ff @(posedge clk_i) begin
    if (avail_o[gq]) desc_o <= cache[{gq, get_at[LW+1:2]}][get_at[1:0]*128+:128];
  end

  assign idle_o = state_q == Idle && (hold_i || want == '0);
endmodule
