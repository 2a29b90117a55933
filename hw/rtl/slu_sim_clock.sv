// Lets one evaluation of the simulated card be one clock. In hardware clk_o is clk_i.
//
// With SLU_SIM_CLOCK (the simulator and tests/rtl/test_nic) every change of clk_i is a clock: clk_o rises with it, and falls
// again with the registers that it moved, so nothing has to be evaluated for a falling edge.
module slu_sim_clock (
  input  logic clk_i,
  output logic clk_o
);
`ifdef SLU_SIM_CLOCK
  logic seen_q = 1'b0;
  always_ff @(posedge clk_o) seen_q <= clk_i;
  assign clk_o = clk_i ^ seen_q;
`else
  assign clk_o = clk_i;
`endif
endmodule
