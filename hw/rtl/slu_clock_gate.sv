// Stops the clock of a block that has nothing to do, in simulation only: what does not toggle costs Verilator nothing.
//
// In hardware clk_o is clk_i. A block behind it must stay as it is while awake_i is 0, so that both are the same card;
// the gate goes on for HoldClocks after awake_i, for what a block's idle output does not cover.
module slu_clock_gate #(
  parameter int unsigned HoldClocks = 15
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic awake_i,  // may be combinational
  output logic clk_o
);
`ifdef VERILATOR
  logic       open_q;
  logic [7:0] hold_q;
  always_ff @(negedge clk_i) begin
    open_q <= awake_i || !rst_ni || hold_q != '0;
    hold_q <= awake_i || !rst_ni ? 8'(HoldClocks) : hold_q - 8'(hold_q != '0);
  end
  assign clk_o = clk_i && open_q;
`else
  assign clk_o = clk_i;
`endif
endmodule
