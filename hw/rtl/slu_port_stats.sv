// 64-bit statistics of a port. Events are pulses; three of them bring a number of bytes to the statistic that follows.
module slu_port_stats (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [slu_regs_pkg::STAT_COUNT-1:0] event_i,     // bit = index of the statistic
  input  logic [23:0] rx_bytes_i,  // with RX_BYTES
  input  logic [23:0] hit_bytes_i, // with HIT_BYTES
  input  logic [23:0] tx_bytes_i,  // with TX_BYTES
  input  logic [4:0]  idx_i,
  output logic [63:0] value_o      // one clock later
);
  localparam int unsigned Count = slu_regs_pkg::STAT_COUNT;
  (* mem2reg *) logic [63:0] count_q [Count];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int i = 0; i < Count; i++) count_q[i] <= 64'd0;
    end else if (event_i != '0) begin
      for (int i = 0; i < Count; i++) begin
        if (event_i[i]) begin
          count_q[i] <= count_q[i] + (i == slu_regs_pkg::STAT_RX_BYTES  ? 64'(rx_bytes_i) :
                                      i == slu_regs_pkg::STAT_HIT_BYTES ? 64'(hit_bytes_i) :
                                      i == slu_regs_pkg::STAT_TX_BYTES  ? 64'(tx_bytes_i) : 64'd1);
        end
      end
    end
    value_o <= idx_i < 5'(Count) ? count_q[idx_i] : 64'd0;
  end
endmodule
