// Port statistics of the host interface: frames and descriptors it dropped.
//
// The value of port and index follows one clock later; indices of other blocks read 0. Counters live until rst_ni.
module slu_port_counters #(
  parameter int unsigned NumPorts = 2
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic [NumPorts-1:0] off_i,  // pulses
  input  logic [NumPorts-1:0] no_desc_i,
  input  logic [NumPorts-1:0] too_long_i,
  input  logic [NumPorts-1:0] bad_desc_i,
  input  logic [7:0]          port_i,
  input  logic [4:0]          idx_i,
  output logic [63:0]         value_o
);
  localparam int unsigned PW = NumPorts > 1 ? $clog2(NumPorts) : 1;
  logic [63:0] off_q      [NumPorts];
  logic [63:0] no_desc_q  [NumPorts];
  logic [63:0] too_long_q [NumPorts];
  logic [63:0] bad_desc_q [NumPorts];

  always_ff @(posedge clk_i) begin
    for (int p = 0; p < NumPorts; p++) begin
      if (off_i[p]) off_q[p] <= off_q[p] + 64'd1;
      if (no_desc_i[p]) no_desc_q[p] <= no_desc_q[p] + 64'd1;
      if (too_long_i[p]) too_long_q[p] <= too_long_q[p] + 64'd1;
      if (bad_desc_i[p]) bad_desc_q[p] <= bad_desc_q[p] + 64'd1;
      if (!rst_ni) begin
        off_q[p]      <= '0;
        no_desc_q[p]  <= '0;
        too_long_q[p] <= '0;
        bad_desc_q[p] <= '0;
      end
    end
    case (idx_i)
      5'(slu_regs_pkg::STAT_HOST_OFF_DROP): value_o <= off_q[port_i[PW-1:0]];
      5'(slu_regs_pkg::STAT_RX_NO_DESC):    value_o <= no_desc_q[port_i[PW-1:0]];
      5'(slu_regs_pkg::STAT_RX_TOO_LONG):   value_o <= too_long_q[port_i[PW-1:0]];
      5'(slu_regs_pkg::STAT_TX_BAD_DESC):   value_o <= bad_desc_q[port_i[PW-1:0]];
      default:                              value_o <= '0;
    endcase
  end
endmodule
