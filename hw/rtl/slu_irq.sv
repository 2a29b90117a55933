// Interrupt vectors, one-shot: the host arms a vector with the index of the next completion that it will read.
//
// The vector fires once when the card has written that completion, at once if it already has: whatever is written between the
// host's last look at its ring and the arming cannot be lost. A masked vector keeps its interrupt until it is unmasked.
// Vector v belongs to queue v, the last one to commands. Reset or restart of a ring disarms.
module slu_irq #(
  parameter int unsigned NumVectors = 5
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic [NumVectors-1:0]    mask_i,
  input  logic [NumVectors-1:0]    restart_i,
  input  logic [NumVectors*32-1:0] written_i,  // completions in host memory, free-running
  input  logic                     arm_valid_i,
  input  logic [7:0]               arm_vector_i,
  input  logic [31:0]              arm_index_i,
  output logic [NumVectors-1:0]    irq_o,  // pulses
  output logic                     idle_o
);
  logic [NumVectors-1:0] armed_q, pending_q, due;
  logic [31:0]           index_q [NumVectors];
  logic [31:0]           ahead   [NumVectors];

  always_comb begin
    for (int v = 0; v < NumVectors; v++) begin
      ahead[v] = written_i[v*32+:32] - index_q[v];
      // Signed: an index beyond what was written waits.
      due[v]   = armed_q[v] && !ahead[v][31] && ahead[v] != '0;
    end
  end

  always_ff @(posedge clk_i) begin
    irq_o     <= (pending_q | due) & ~mask_i & ~restart_i;
    pending_q <= (pending_q | due) & mask_i & ~restart_i;
    armed_q   <= armed_q & ~due & ~restart_i;
    if (arm_valid_i) begin
      for (int v = 0; v < NumVectors; v++) begin
        if (arm_vector_i == 8'(v)) begin
          armed_q[v] <= 1'b1;
          index_q[v] <= arm_index_i;
        end
      end
    end
    if (!rst_ni) begin
      irq_o     <= '0;
      pending_q <= '0;
      armed_q   <= '0;
    end
  end

  assign idle_o = due == '0 && irq_o == '0 && (pending_q & ~mask_i) == '0;
endmodule
