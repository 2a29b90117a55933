// Next-hop table: one write port, a copy with a read port for every wire port. Latency 1.
//
// Holds the fields of slu_regs_pkg::next_hop_t without its reserved bits.
module slu_next_hops #(
  parameter int unsigned NumPorts    = 2,
  parameter int unsigned NextHopBits = 12
) (
  input  logic                            clk_i,
  input  logic [NumPorts-1:0]             re_i,
  input  logic [NumPorts*NextHopBits-1:0] raddr_i,
  output logic [NumPorts*144-1:0]         rdata_o,
  input  logic                            we_i,
  input  logic [NextHopBits-1:0]          waddr_i,
  input  logic [143:0]                    wdata_i
);
  for (genvar p = 0; p < NumPorts; p++) begin : g_port
    logic [143:0] mem [1 << NextHopBits];
    logic [143:0] rdata_q;
    always_ff @(posedge clk_i) begin
      if (we_i) mem[waddr_i] <= wdata_i;
      if (re_i[p]) rdata_q <= mem[raddr_i[p*NextHopBits +: NextHopBits]];
    end
    assign rdata_o[p*144 +: 144] = rdata_q;
  end
endmodule
