// Reorder ring of a port: entries are taken in the order of the port's frames, answered in any order, popped in order.
module slu_fetch_ring #(
  parameter int unsigned RingBits = 9
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  // Taking an entry.
  output logic                room_o,
  output logic [RingBits-1:0] idx_o,
  input  logic                alloc_i,
  // Resolving it, in order: is there a record to wait for?
  input  logic                tok_i,
  input  logic [RingBits-1:0] tok_idx_i,
  input  logic [slu_pkg::RingInfoBits-1:0] tok_info_i,
  // Answers of the record memory.
  input  logic                r_i,
  input  logic [RingBits-1:0] r_idx_i,
  input  logic                r_second_i,
  input  logic                r_last_i,
  input  logic                r_bad_i,
  input  logic [511:0]        r_data_i,
  // The oldest entry; err and the halves one clock after pop.
  output logic                head_valid_o,
  output logic [slu_pkg::RingInfoBits-1:0] head_info_o,
  input  logic                pop_i,
  output logic                err_o,
  output logic [511:0]        lo_o,
  output logic [511:0]        hi_o
);
  localparam int unsigned Depth = 1 << RingBits;
  logic [511:0] lo_mem [Depth];
  logic [511:0] hi_mem [Depth];
  logic [slu_pkg::RingInfoBits-1:0] info_mem [Depth];
  logic bad_mem [Depth];
  // An entry is answered when its two bits differ: the token makes them equal, the answer makes them different. So neither
  // side needs the other's write port, and their content after reset does not matter.
  logic asked_mem [Depth];
  logic answered_mem [Depth];

  logic [RingBits:0]   head_q, tail_q, resolved_q;
  logic [RingBits-1:0] tail;
  slu_pkg::ring_info_t info;
  assign tail         = tail_q[RingBits-1:0];
  assign info         = info_mem[tail];
  assign room_o       = head_q[RingBits-1:0] != tail || head_q[RingBits] == tail_q[RingBits];
  assign idx_o        = head_q[RingBits-1:0];
  assign head_valid_o = resolved_q != tail_q && (!info.fetched || asked_mem[tail] != answered_mem[tail]);
  assign head_info_o  = info;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      head_q     <= '0;
      tail_q     <= '0;
      resolved_q <= '0;
    end else begin
      if (alloc_i) head_q <= head_q + 1'b1;
      if (tok_i) resolved_q <= resolved_q + 1'b1;
      if (pop_i) tail_q <= tail_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (tok_i) begin
      info_mem[tok_idx_i]  <= tok_info_i;
      asked_mem[tok_idx_i] <= answered_mem[tok_idx_i];
    end
    if (r_i && !r_second_i) lo_mem[r_idx_i] <= r_data_i;
    if (r_i && r_second_i) hi_mem[r_idx_i] <= r_data_i;
    if (r_i && r_last_i) begin
      bad_mem[r_idx_i]      <= r_bad_i;
      answered_mem[r_idx_i] <= !asked_mem[r_idx_i];
    end
    if (pop_i && info.fetched) begin
      lo_o  <= lo_mem[tail];
      err_o <= bad_mem[tail];
      if (info.is6) hi_o <= hi_mem[tail];
    end
  end
endmodule
