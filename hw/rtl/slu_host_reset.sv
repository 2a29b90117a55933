// Resets the host domain: first no new work (hold_o), then, when no DMA is in flight, one clock of reset.
//
// Requests come from the shell (FLR, disconnect) or from CONTROL.HOST_RESET; one that comes during a reset is part of it if
// work is still being held, else it is done after it. The flow domain is not touched.
module slu_host_reset (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        request_i,
  input  logic        quiet_i,        // nothing of the host domain is at work
  output logic        hold_o,
  output logic        rst_host_no,    // also 0 with rst_ni
  output logic [31:0] generation_o,   // resets so far
  output logic        busy_o
);
  typedef enum logic [1:0] {Idle, Hold, Reset} state_e;
  state_e state_q;
  logic   again_q;

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      Idle: begin
        again_q <= 1'b0;
        if (request_i || again_q) state_q <= Hold;
      end
      Hold: if (quiet_i) state_q <= Reset;
      default: begin
        generation_o <= generation_o + 32'd1;
        again_q      <= request_i;
        state_q      <= Idle;
      end
    endcase
    if (!rst_ni) begin
      state_q      <= Idle;
      again_q      <= 1'b0;
      generation_o <= '0;
    end
  end

  assign hold_o      = state_q != Idle;
  assign rst_host_no = rst_ni && state_q != Reset;
  assign busy_o      = state_q != Idle || again_q;
endmodule
