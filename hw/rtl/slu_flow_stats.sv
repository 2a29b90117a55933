// Statistics of flows: deltas collected on chip, added to counter memory by read-modify-write.
//
// A set-associative cache of lines. A line belongs to one flow from its first update until its write to memory was answered,
// and a flow has one line at most, so a read of memory can never miss a write that is under way. A line that holds a
// delta is flushed at once (read, add, write, response); what arrives while that read is out joins the delta, what arrives
// later is flushed again after the response. A hot flow so costs one read and write a round trip, and an update stalls
// only if all four lines of its set are under way for other flows.
// Throughput: one update a clock. READ and CLEAR go the same way as updates, hence in order with them: READ answers when
// its line's read returned, with all updates accepted before in it.
// A flow id beyond the table has no statistics: its updates are dropped.
// Busy bits and full bits are pairs of toggles, each in a memory with one writer.
// After reset the cache clears itself: 2^SetBits clocks.
module slu_flow_stats #(
  parameter int unsigned FlowIdBits = 20,
  parameter int unsigned SetBits    = 10  // at most FlowIdBits - 1
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic [63:0]  time_us_i,

  // slu_flow_engine: updates
  input  logic         fst_valid_i,
  output logic         fst_ready_o,
  input  logic [31:0]  fst_flow_id_i,
  input  logic [15:0]  fst_bytes_i,
  input  logic         fst_count_i,  // 0: only last_seen

  // slu_cmd: operations (flow in range, no two on one flow at a time) and results
  input  logic         op_valid_i,
  output logic         op_ready_o,
  input  logic         op_clear_i,  // else read
  input  logic [31:0]  op_flow_id_i,
  input  logic [3:0]   op_tag_i,
  output logic         res_valid_o,
  output logic [3:0]   res_tag_o,
  output logic         res_err_o,
  output logic [127:0] res_data_o,  // slu_regs_pkg::flow_stats_t

  // Counter memory
  output logic         m_cnt_arvalid_o,
  input  logic         m_cnt_arready_i,
  output logic [31:0]  m_cnt_araddr_o,
  output logic [5:0]   m_cnt_arid_o,
  input  logic         m_cnt_rvalid_i,
  output logic         m_cnt_rready_o,
  input  logic [127:0] m_cnt_rdata_i,
  input  logic [5:0]   m_cnt_rid_i,
  input  logic [1:0]   m_cnt_rresp_i,
  output logic         m_cnt_awvalid_o,
  input  logic         m_cnt_awready_i,
  output logic [31:0]  m_cnt_awaddr_o,
  output logic [5:0]   m_cnt_awid_o,
  output logic         m_cnt_wvalid_o,
  input  logic         m_cnt_wready_i,
  output logic [127:0] m_cnt_wdata_o,
  output logic [15:0]  m_cnt_wstrb_o,
  input  logic         m_cnt_bvalid_i,
  output logic         m_cnt_bready_o,
  input  logic [5:0]   m_cnt_bid_i,
  input  logic [1:0]   m_cnt_bresp_i,

  output logic         error_o,  // pulse: error response
  output logic         idle_o
);
  localparam int unsigned Ways = 4;
  localparam int unsigned Sets = 1 << SetBits;
  localparam int unsigned LineBits = SetBits + 2;
  localparam int unsigned Lines = 1 << LineBits;
  localparam int unsigned TagBits = FlowIdBits - SetBits;
  localparam int unsigned RefBits = TagBits + LineBits;

  // A delta. clear: memory's value does not count. want: somebody waits for the sum under `tag`.
  typedef struct packed {
    logic        clear;
    logic        want;
    logic [3:0]  tag;
    logic [39:0] last_seen;
    logic [39:0] packets;
    logic [47:0] bytes;
  } delta_t;

  // What comes in, one word: an update, or an operation (want), which has no time, packets and bytes.
  typedef struct packed {
    logic        clear;
    logic        want;
    logic [3:0]  tag;
    logic        count;
    logic [15:0] bytes;
    logic [39:0] last_seen;
  } event_t;

  // Neighbouring flow ids fall into different sets, and so do ids that differ in high bits only.
  function automatic logic [SetBits-1:0] set_of(input logic [FlowIdBits-1:0] flow);
    set_of = flow[SetBits-1:0] ^ SetBits'(flow >> SetBits);
  endfunction

  // Tags of a set, way 0 lowest: {valid, tag}.
  logic [Ways*(TagBits+1)-1:0] tags [Sets];
  delta_t                      deltas [Lines];
  logic [Ways-1:0]             busy_u [Sets];  // busy: busy_u differs from busy_b
  logic [Ways-1:0]             busy_b [Sets];
  logic [Ways-1:0]             full_u [Sets];  // holds a delta: full_u differs from full_r
  logic [Ways-1:0]             full_r [Sets];

  logic               init_q;
  logic [SetBits-1:0] init_at_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      init_q    <= 1'b1;
      init_at_q <= '0;
    end else if (init_q) begin
      init_at_q <= init_at_q + SetBits'(1);
      init_q    <= !(&init_at_q);
    end
  end

  // -- stage 0: choose, read tags --
  logic                  s1_valid_q, s1_go, s0_go, s0_take;
  logic [FlowIdBits-1:0] s0_flow, s1_flow_q;
  logic [SetBits-1:0]    s0_set, s1_set_q;
  event_t                s1_event_q;
  logic [39:0]           now_q;  // time of last_seen
  logic                  in_range;

  assign s0_go       = (!s1_valid_q || s1_go) && !init_q;
  assign op_ready_o  = s0_go;
  assign fst_ready_o = s0_go && !op_valid_i;
  assign in_range    = fst_flow_id_i >> FlowIdBits == '0;
  assign s0_take     = s0_go && (op_valid_i || (fst_valid_i && in_range));
  assign s0_flow     = op_valid_i ? op_flow_id_i[FlowIdBits-1:0] : fst_flow_id_i[FlowIdBits-1:0];
  assign s0_set      = set_of(s0_flow);

  // -- stage 1: find the line or take one --
  logic [Ways*(TagBits+1)-1:0] s1_tags_q, s1_tags_new;
  logic [Ways-1:0]             busy, full;
  logic [TagBits:0]            s1_tag;
  logic [1:0]                  way, victim;
  logic                        found, free, s1_fresh, s1_enqueue, s1_set_tag;
  logic [LineBits-1:0]         s1_line;
  logic                        r0_go;
  // Answers of the memory as they came.
  logic                        r_valid_q, r_err_q, b_valid_q, b_err_q;
  logic [5:0]                  r_id_q, b_id_q;
  logic [127:0]                r_data_q;
  logic [LineBits-1:0]         r0_line;
  logic [RefBits-1:0]          r0_ref;

  assign busy = busy_u[s1_set_q] ^ busy_b[s1_set_q];
  assign full = full_u[s1_set_q] ^ full_r[s1_set_q];
  assign s1_tag = {1'b1, s1_flow_q[FlowIdBits-1:SetBits]};
  always_comb begin
    found  = 1'b0;
    way    = '0;
    victim = '0;
    for (int w = 0; w < Ways; w++) begin
      if (s1_tags_q[w*(TagBits+1)+:TagBits+1] == s1_tag) begin
        found = 1'b1;
        way   = 2'(w);
      end
      if (!busy[w]) victim = 2'(w);
    end
    free = busy != '1;
    s1_tags_new = s1_tags_q;
    if (!found) begin
      way = victim;
      s1_tags_new[way*(TagBits+1)+:TagBits+1] = s1_tag;
    end
  end
  assign s1_go      = s1_valid_q && (found || free);
  assign s1_line    = {s1_set_q, way};
  // The return stage consumes before this stage adds.
  assign s1_fresh   = !full[way] || (r0_go && r0_line == s1_line);
  assign s1_enqueue = s1_go && !busy[way];
  assign s1_set_tag = s1_go && !found;

  // -- stage 2: add --
  logic                s2_valid_q, s2_fresh_q, s2_forward_q;
  logic [LineBits-1:0] s2_line_q;
  event_t              s2_event_q;
  delta_t              s2_read_q, s2_last_q, s2_old, s2_new;

  assign s2_old = s2_forward_q ? s2_last_q : s2_read_q;
  always_comb begin
    if (s2_valid_q && !s2_fresh_q && !s2_event_q.clear) begin
      s2_new = {s2_old.clear, s2_old.want || s2_event_q.want, s2_old.tag | s2_event_q.tag,
                s2_event_q.last_seen != '0 ? s2_event_q.last_seen : s2_old.last_seen,
                s2_old.packets + 40'(s2_event_q.count), s2_old.bytes + 48'(s2_event_q.bytes)};
    end else begin
      s2_new = {s2_event_q.clear, s2_event_q.want, s2_event_q.tag, s2_event_q.last_seen, 40'(s2_event_q.count),
                48'(s2_event_q.bytes)};
    end
  end

  always_ff @(posedge clk_i) begin
    now_q <= time_us_i[49:10];
    if (s0_take) begin
      s1_flow_q  <= s0_flow;
      s1_set_q   <= s0_set;
      // One assignment in the order of event_t.
      s1_event_q <= op_valid_i ? {op_clear_i, 1'b1, op_tag_i, 57'd0}
                               : {6'd0, fst_count_i, fst_count_i ? fst_bytes_i : 16'd0, now_q};
      s1_tags_q  <= s1_set_tag && s1_set_q == s0_set ? s1_tags_new : tags[s0_set];
    end
    if (s0_go) s1_valid_q <= s0_take;
    s2_valid_q <= s1_go;
    if (s1_go) begin
      s2_line_q    <= s1_line;
      s2_fresh_q   <= s1_fresh;
      s2_event_q   <= s1_event_q;
      s2_read_q    <= deltas[s1_line];
      s2_forward_q <= s2_valid_q && s2_line_q == s1_line;
      if (s2_valid_q && s2_line_q == s1_line) s2_last_q <= s2_new;
    end
    if (s2_valid_q) deltas[s2_line_q] <= s2_new;
    if (init_q) begin
      tags[init_at_q]   <= '0;
      busy_u[init_at_q] <= '0;
      full_u[init_at_q] <= '0;
    end else begin
      if (s1_set_tag) tags[s1_set_q] <= s1_tags_new;
      if (s1_enqueue) busy_u[s1_set_q] <= busy_u[s1_set_q] ^ (Ways'(1) << way);
      if (s1_go && s1_fresh) begin
        // A line consumed in this very clock stays full: full_r turns, so full_u turns with it.
        full_u[s1_set_q] <= full_u[s1_set_q] ^ (Ways'(1) << way);
      end
    end
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      s2_valid_q <= 1'b0;
    end
  end

  // -- flushes to begin: new ones, and ones again after their write --
  // Each entry is {tag, line}.
  logic [RefBits-1:0]  new_mem   [Lines];
  logic [RefBits-1:0]  again_mem [Lines];
  logic [LineBits:0]   new_in_q, new_out_q, again_in_q, again_out_q;
  logic [LineBits:0]   busy_count_q;  // lines under way
  logic                ar_load, ar_from_again, ar_full;
  logic [RefBits-1:0]  ar_ref;
  logic [5:0]          ar_id;
  logic                b_go, b_again;
  logic [RefBits-1:0]  b_ref;
  logic [LineBits-1:0] b_line;

  assign ar_from_again = again_in_q != again_out_q;
  assign ar_load       = (!m_cnt_arvalid_o || m_cnt_arready_i) && !ar_full && (ar_from_again || new_in_q != new_out_q);
  assign ar_ref        = ar_from_again ? again_mem[again_out_q[LineBits-1:0]] : new_mem[new_out_q[LineBits-1:0]];

  function automatic logic [31:0] address_of(input logic [RefBits-1:0] what);
    logic [SetBits-1:0] set;
    logic [TagBits-1:0] tag;
    set        = what[LineBits-1:2];
    tag        = what[RefBits-1:LineBits];
    address_of = 32'({tag, set ^ SetBits'(tag)}) << 4;
  endfunction

  slu_id_track #(
    .Width(RefBits)
  ) u_reads (
    .clk_i, .rst_ni,
    .push_i     (ar_load),
    .push_data_i(ar_ref),
    .id_o       (ar_id),
    .full_o     (ar_full),
    .pop_i      (r0_go),
    .pop_id_i   (r_id_q),
    .pop_data_o (r0_ref)
  );

  always_ff @(posedge clk_i) begin
    if (s1_enqueue) begin
      new_mem[new_in_q[LineBits-1:0]] <= {s1_flow_q[FlowIdBits-1:SetBits], s1_line};
      new_in_q                        <= new_in_q + (LineBits+1)'(1);
    end
    if (b_go && b_again) begin
      again_mem[again_in_q[LineBits-1:0]] <= b_ref;
      again_in_q                          <= again_in_q + (LineBits+1)'(1);
    end
    if (ar_load) begin
      m_cnt_araddr_o <= address_of(ar_ref);
      m_cnt_arid_o   <= ar_id;
      if (ar_from_again) again_out_q <= again_out_q + (LineBits+1)'(1);
      else new_out_q <= new_out_q + (LineBits+1)'(1);
    end
    if (ar_load) m_cnt_arvalid_o <= 1'b1;
    else if (m_cnt_arready_i) m_cnt_arvalid_o <= 1'b0;
    if (s1_enqueue || b_go) begin
      busy_count_q <= busy_count_q + (LineBits+1)'(s1_enqueue) - (LineBits+1)'(b_go && !b_again);
    end
    if (!rst_ni) begin
      m_cnt_arvalid_o <= 1'b0;
      new_in_q        <= '0;
      new_out_q       <= '0;
      again_in_q      <= '0;
      again_out_q     <= '0;
      busy_count_q    <= '0;
    end
  end

  // -- return: read data and the line's delta, sum in the next clock --
  logic                r1_valid_q, r1_go, r1_forward_q;
  logic [RefBits-1:0]  r1_ref_q;
  slu_regs_pkg::flow_stats_t r1_data_q, r1_sum;
  logic                r1_err_q;
  delta_t              r1_read_q, r1_last_q, r1_delta;
  logic                w_free, aw_full;
  logic [5:0]          aw_id;

  assign r1_go          = r1_valid_q && w_free && !aw_full;
  assign m_cnt_rready_o = !r_valid_q || r0_go;
  assign r0_line        = r0_ref[LineBits-1:0];
  assign r0_go          = r_valid_q && (!r1_valid_q || r1_go);
  assign r1_delta       = r1_forward_q ? r1_last_q : r1_read_q;

  always_comb begin
    r1_sum           = '0;
    r1_sum.last_seen = r1_delta.last_seen;
    r1_sum.packets   = r1_delta.packets;
    r1_sum.bytes     = r1_delta.bytes;
    if (r1_valid_q && !r1_delta.clear) begin
      if (r1_delta.last_seen == '0) r1_sum.last_seen = r1_data_q.last_seen;
      r1_sum.packets = r1_data_q.packets + r1_delta.packets;
      r1_sum.bytes   = r1_data_q.bytes + r1_delta.bytes;
    end
  end

  slu_id_track #(
    .Width(RefBits)
  ) u_writes (
    .clk_i, .rst_ni,
    .push_i     (r1_go),
    .push_data_i(r1_ref_q),
    .id_o       (aw_id),
    .full_o     (aw_full),
    .pop_i      (b_go),
    .pop_id_i   (b_id_q),
    .pop_data_o (b_ref)
  );

  // Writes wait here for their two channels, which memories accept at different times.
  logic [37:0]  aw_mem [4];  // {id, address}
  logic [128:0] w_mem  [4];  // {whole, data}
  logic [2:0]   w_in_q, aw_out_q, w_out_q;

  assign w_free          = w_in_q - aw_out_q != 3'd4 && w_in_q - w_out_q != 3'd4;
  assign m_cnt_awvalid_o = w_in_q != aw_out_q;
  assign m_cnt_awaddr_o  = aw_mem[aw_out_q[1:0]][31:0];
  assign m_cnt_awid_o    = aw_mem[aw_out_q[1:0]][37:32];
  assign m_cnt_wvalid_o  = w_in_q != w_out_q;
  assign m_cnt_wdata_o   = w_mem[w_out_q[1:0]][127:0];
  assign m_cnt_wstrb_o   = {16{w_mem[w_out_q[1:0]][128]}};

  always_ff @(posedge clk_i) begin
    if (r0_go) begin
      r1_ref_q     <= r0_ref;
      r1_data_q    <= r_data_q;
      r1_err_q     <= r_err_q;
      r1_read_q    <= deltas[r0_line];
      r1_forward_q <= s2_valid_q && s2_line_q == r0_line;
      if (s2_valid_q && s2_line_q == r0_line) r1_last_q <= s2_new;
    end
    if (m_cnt_rvalid_i && m_cnt_rready_o) begin
      r_data_q <= m_cnt_rdata_i;
      r_id_q   <= m_cnt_rid_i;
      r_err_q  <= m_cnt_rresp_i[1];
    end
    if (m_cnt_rready_o) r_valid_q <= m_cnt_rvalid_i;
    if (r0_go) r1_valid_q <= 1'b1;
    else if (r1_go) r1_valid_q <= 1'b0;
    if (init_q) full_r[init_at_q] <= '0;
    else if (r0_go) full_r[r0_line[LineBits-1:2]] <= full_r[r0_line[LineBits-1:2]] ^ (Ways'(1) << r0_line[1:0]);

    res_valid_o <= r1_go && r1_delta.want;
    if (r1_go && r1_delta.want) begin
      res_tag_o  <= r1_delta.tag;
      res_err_o  <= r1_err_q && !r1_delta.clear;
      res_data_o <= r1_sum;
    end
    if (r1_go) begin
      aw_mem[w_in_q[1:0]] <= {aw_id, address_of(r1_ref_q)};
      // What could not be read must not be written: the delta is lost, the error counted.
      w_mem[w_in_q[1:0]]  <= {!r1_err_q || r1_delta.clear, r1_sum};
      w_in_q              <= w_in_q + 3'd1;
    end
    if (m_cnt_awvalid_o && m_cnt_awready_i) aw_out_q <= aw_out_q + 3'd1;
    if (m_cnt_wvalid_o && m_cnt_wready_i) w_out_q <= w_out_q + 3'd1;
    error_o <= (r1_go && r1_err_q && !r1_delta.clear) || (b_go && b_err_q);
    if (!rst_ni) begin
      r_valid_q       <= 1'b0;
      r1_valid_q      <= 1'b0;
      res_valid_o     <= 1'b0;
      w_in_q          <= '0;
      aw_out_q        <= '0;
      w_out_q         <= '0;
      error_o         <= 1'b0;
    end
  end

  // -- write response: the line rests, or is flushed again for what came meanwhile --
  logic [SetBits-1:0] b_set;
  assign m_cnt_bready_o = 1'b1;
  assign b_go           = b_valid_q;
  assign b_line         = b_ref[LineBits-1:0];
  assign b_set          = b_line[LineBits-1:2];
  assign b_again        = full_u[b_set][b_line[1:0]] != full_r[b_set][b_line[1:0]] || (s1_go && s1_line == b_line);

  always_ff @(posedge clk_i) begin
    b_valid_q <= m_cnt_bvalid_i && rst_ni;
    if (m_cnt_bvalid_i) begin
      b_id_q  <= m_cnt_bid_i;
      b_err_q <= m_cnt_bresp_i[1];
    end
    if (init_q) busy_b[init_at_q] <= '0;
    else if (b_go && !b_again) busy_b[b_set] <= busy_b[b_set] ^ (Ways'(1) << b_line[1:0]);
  end

  // As in slu_ingress.
  logic [1:0] quiet_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || init_q || s0_take) quiet_q <= 2'd0;
    else if (s1_valid_q || s2_valid_q || busy_count_q != '0 || res_valid_o || error_o) quiet_q <= 2'd0;
    else if (quiet_q != 2'd3) quiet_q <= quiet_q + 2'd1;
  end
  assign idle_o = quiet_q == 2'd3;
endmodule
