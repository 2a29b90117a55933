// Remembers what belongs to each transaction on an AXI channel whose answers may change order between ids.
//
// Ids are given in turn; each id may have 2^DepthBits transactions in flight, which AXI answers in order. So IdBits + DepthBits
// bits of transactions are in flight at most, and no search is needed when an answer comes.
module slu_id_track #(
  parameter int unsigned IdBits    = 6,
  parameter int unsigned DepthBits = 3,
  parameter int unsigned Width     = 12
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  // Request: takes id_o when push_i; not while full_o.
  input  logic              push_i,
  input  logic [Width-1:0]  push_data_i,
  output logic [IdBits-1:0] id_o,
  output logic              full_o,
  // Answer: pop_data_o belongs to pop_id_i, at once.
  input  logic              pop_i,
  input  logic [IdBits-1:0] pop_id_i,
  output logic [Width-1:0]  pop_data_o
);
  localparam int unsigned Ids = 1 << IdBits;

  logic [Width-1:0]     mem    [Ids << DepthBits];
  logic [DepthBits:0]   tail_q [Ids];  // written
  logic [DepthBits:0]   head_q [Ids];  // answered
  logic [IdBits-1:0]    next_q;

  assign id_o       = next_q;
  assign full_o     = tail_q[next_q] - head_q[next_q] == (DepthBits+1)'(1 << DepthBits);
  assign pop_data_o = mem[{pop_id_i, head_q[pop_id_i][DepthBits-1:0]}];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      next_q <= '0;
      for (int i = 0; i < Ids; i++) begin
        tail_q[i] <= '0;
        head_q[i] <= '0;
      end
    end else begin
      if (push_i) begin
        mem[{next_q, tail_q[next_q][DepthBits-1:0]}] <= push_data_i;
        tail_q[next_q] <= tail_q[next_q] + (DepthBits+1)'(1);
        next_q         <= next_q + IdBits'(1);
      end
      if (pop_i) head_q[pop_id_i] <= head_q[pop_id_i] + (DepthBits+1)'(1);
    end
  end
endmodule
