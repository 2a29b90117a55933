// 64-bit statistics of a port. Events are pulses, grouped by the clock in which they come together.
module slu_port_stats (
  input  logic        clk_i,
  input  logic        rst_ni,
  // A frame ended on the wire.
  input  logic        rx_i,
  input  logic [23:0] rx_bytes_i,
  input  logic        rx_err_i,
  input  logic        rx_runt_i,
  input  logic        rx_giant_i,
  input  logic        rx_full_i,
  // A verdict fell.
  input  logic        verdict_i,
  input  logic        hit_i,
  input  logic        host_i,
  input  logic [7:0]  reason_i,
  input  logic [23:0] hit_bytes_i,
  input  logic        tag_false_i,  // of the same verdict
  // What slu_host_fifo did with a frame.
  input  logic        host_taken_i,
  input  logic        host_full_i,
  input  logic        host_off_i,
  // A frame left on the wire; a frame of the host was taken.
  input  logic        tx_i,
  input  logic [23:0] tx_bytes_i,
  input  logic        tx_host_i,
  // Reader; the value follows one clock later.
  input  logic [4:0]  idx_i,
  output logic [63:0] value_o
);
  localparam int unsigned Count = slu_regs_pkg::STAT_COUNT;
  (* mem2reg *) logic [63:0] count_q [Count];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      for (int i = 0; i < Count; i++) count_q[i] <= 64'd0;
    end else begin
      if (rx_i) begin
        count_q[slu_regs_pkg::STAT_RX_FRAMES] <= count_q[slu_regs_pkg::STAT_RX_FRAMES] + 64'd1;
        count_q[slu_regs_pkg::STAT_RX_BYTES]  <= count_q[slu_regs_pkg::STAT_RX_BYTES] + 64'(rx_bytes_i);
        if (rx_err_i) count_q[slu_regs_pkg::STAT_RX_WIRE_ERROR] <= count_q[slu_regs_pkg::STAT_RX_WIRE_ERROR] + 64'd1;
        if (rx_runt_i) count_q[slu_regs_pkg::STAT_RX_RUNT] <= count_q[slu_regs_pkg::STAT_RX_RUNT] + 64'd1;
        if (rx_giant_i) count_q[slu_regs_pkg::STAT_RX_GIANT] <= count_q[slu_regs_pkg::STAT_RX_GIANT] + 64'd1;
        if (rx_full_i) count_q[slu_regs_pkg::STAT_RX_FIFO_DROP] <= count_q[slu_regs_pkg::STAT_RX_FIFO_DROP] + 64'd1;
      end
      if (verdict_i) begin
        if (hit_i) begin
          count_q[slu_regs_pkg::STAT_HIT_FRAMES] <= count_q[slu_regs_pkg::STAT_HIT_FRAMES] + 64'd1;
          count_q[slu_regs_pkg::STAT_HIT_BYTES]  <= count_q[slu_regs_pkg::STAT_HIT_BYTES] + 64'(hit_bytes_i);
        end else if (!host_i) begin
          count_q[slu_regs_pkg::STAT_RULE_DROP] <= count_q[slu_regs_pkg::STAT_RULE_DROP] + 64'd1;
        end else if (reason_i == slu_regs_pkg::REASON_MISS) begin
          count_q[slu_regs_pkg::STAT_REASON_MISS] <= count_q[slu_regs_pkg::STAT_REASON_MISS] + 64'd1;
        end else if (reason_i == slu_regs_pkg::REASON_TCP_FLAGS) begin
          count_q[slu_regs_pkg::STAT_REASON_TCP_FLAGS] <= count_q[slu_regs_pkg::STAT_REASON_TCP_FLAGS] + 64'd1;
        end else begin
          count_q[slu_regs_pkg::STAT_REASON_EXCEPTION] <= count_q[slu_regs_pkg::STAT_REASON_EXCEPTION] + 64'd1;
        end
        if (tag_false_i) count_q[slu_regs_pkg::STAT_TAG_FALSE] <= count_q[slu_regs_pkg::STAT_TAG_FALSE] + 64'd1;
      end
      if (host_taken_i) count_q[slu_regs_pkg::STAT_TO_HOST] <= count_q[slu_regs_pkg::STAT_TO_HOST] + 64'd1;
      if (host_full_i) count_q[slu_regs_pkg::STAT_HOST_FIFO_DROP] <= count_q[slu_regs_pkg::STAT_HOST_FIFO_DROP] + 64'd1;
      if (host_off_i) count_q[slu_regs_pkg::STAT_HOST_OFF_DROP] <= count_q[slu_regs_pkg::STAT_HOST_OFF_DROP] + 64'd1;
      if (tx_i) begin
        count_q[slu_regs_pkg::STAT_TX_FRAMES] <= count_q[slu_regs_pkg::STAT_TX_FRAMES] + 64'd1;
        count_q[slu_regs_pkg::STAT_TX_BYTES]  <= count_q[slu_regs_pkg::STAT_TX_BYTES] + 64'(tx_bytes_i);
      end
      if (tx_host_i) count_q[slu_regs_pkg::STAT_TX_HOST_FRAMES] <= count_q[slu_regs_pkg::STAT_TX_HOST_FRAMES] + 64'd1;
    end
    value_o <= idx_i < 5'(Count) ? count_q[idx_i] : 64'd0;
  end
endmodule
