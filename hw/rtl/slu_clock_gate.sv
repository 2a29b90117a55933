// Stops the clock of a block that has nothing to do, in simulation only: what does not toggle costs Verilator nothing.
//
// In hardware clk_o is clk_i. A block behind it must stay as it is while awake_i is 0, so that both are the same card;
// the gate goes on for HoldClocks after awake_i, for what a block's idle output does not cover.
module slu_clock_gate #(
  parameter int unsigned HoldClocks = 15
) (
  input  logic clk_i,   // of slu_sim_clock
  input  logic rst_ni,
  input  logic awake_i,  // may be combinational
  output logic clk_o
);
`ifdef SLU_SIM_CLOCK
  // clk_i is high only until the registers move, so what stands in awake_i then is what stood there before the edge. Looked at
  // under `if`, it costs nothing afterwards.
  logic       wake, open;
  logic [7:0] hold_q;
  always_latch begin
    if (clk_i) begin
      wake = awake_i || !rst_ni;
      open = wake || hold_q != '0;
    end
  end
  always_ff @(posedge clk_i) if (open) hold_q <= wake ? 8'(HoldClocks) : hold_q - 8'd1;
  assign clk_o = clk_i && open;
`else
  assign clk_o = clk_i;
`endif
endmodule
