// Reads flow records and puts the answers back into the order of each port's frames.
//
// Every token takes one entry of its port's ring of 2^RingBits; the AXI id of its read is {port, entry}, so all reads of all
// ports can be in flight at once and be answered in any order. Record halves are written into RAM once, at the entry, and
// read once, when the port pops it. IPv4: one beat, IPv6 and the table port: two beats in one burst.
module slu_record_fetch #(
  parameter int unsigned NumPorts   = 2,
  parameter int unsigned BucketBits = 17,
  parameter int unsigned RingBits   = 9,
  parameter int unsigned PortBits   = 1
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  // slu_lookup.
  output logic [NumPorts-1:0]           room_o,
  output logic [NumPorts*RingBits-1:0]  idx_o,
  input  logic [NumPorts-1:0]           alloc_i,
  input  logic                          tok_valid_i,
  input  logic [PortBits-1:0]           tok_port_i,
  input  logic [RingBits-1:0]           tok_idx_i,
  input  logic [slu_pkg::RingInfoBits-1:0] tok_info_i,
  input  logic [BucketBits+2:0]         tok_slot_i,
  // Record memory.
  output logic                          arvalid_o,
  input  logic                          arready_i,
  output logic [31:0]                   araddr_o,
  output logic [9:0]                    arid_o,
  output logic [7:0]                    arlen_o,
  input  logic                          rvalid_i,
  input  logic [511:0]                  rdata_i,
  input  logic [9:0]                    rid_i,
  input  logic [1:0]                    rresp_i,
  input  logic                          rlast_i,
  // slu_decide of every port: the oldest entry; err and the halves one clock after pop.
  output logic [NumPorts-1:0]           head_valid_o,
  output logic [NumPorts*slu_pkg::RingInfoBits-1:0] head_info_o,
  input  logic [NumPorts-1:0]           pop_i,
  output logic [NumPorts-1:0]           err_o,
  output logic [NumPorts*512-1:0]       lo_o,
  output logic [NumPorts*512-1:0]       hi_o
);
  localparam int unsigned IdBits = RingBits + PortBits;

  slu_pkg::ring_info_t tok_info;
  assign tok_info = tok_info_i;

  // Requests wait here; the rings bound their number, so it never overflows.
  localparam int unsigned ArBits = BucketBits + 3 + IdBits + 1;
  logic [ArBits-1:0] ar_mem [1 << IdBits];
  logic [IdBits:0]   ar_wr_q, ar_rd_q;
  logic [ArBits-1:0] ar_q;
  logic              ar_valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      ar_wr_q    <= '0;
      ar_rd_q    <= '0;
      ar_valid_q <= 1'b0;
    end else begin
      if (tok_valid_i && tok_info.fetched) ar_wr_q <= ar_wr_q + 1'b1;
      if (!ar_valid_q || arready_i) begin
        ar_valid_q <= ar_wr_q != ar_rd_q;
        if (ar_wr_q != ar_rd_q) ar_rd_q <= ar_rd_q + 1'b1;
      end
    end
    if (tok_valid_i && tok_info.fetched) ar_mem[ar_wr_q[IdBits-1:0]] <= {tok_slot_i, tok_info.is6, tok_port_i, tok_idx_i};
    if ((!ar_valid_q || arready_i) && ar_wr_q != ar_rd_q) ar_q <= ar_mem[ar_rd_q[IdBits-1:0]];
  end
  assign arvalid_o = ar_valid_q;
  assign araddr_o  = 32'({ar_q[ArBits-1 -: BucketBits+3], 7'd0});
  assign arlen_o   = {7'd0, ar_q[IdBits]};
  assign arid_o    = 10'(ar_q[IdBits-1:0]);

  // Beats of two ids never interleave.
  logic second_q, bad_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      second_q <= 1'b0;
      bad_q    <= 1'b0;
    end else if (rvalid_i) begin
      second_q <= !rlast_i;
      bad_q    <= !rlast_i && rresp_i[1];
    end
  end

  for (genvar p = 0; p < NumPorts; p++) begin : g_port
    slu_fetch_ring #(.RingBits(RingBits)) u_ring (
      .clk_i, .rst_ni,
      .room_o(room_o[p]), .idx_o(idx_o[p*RingBits +: RingBits]), .alloc_i(alloc_i[p]),
      .tok_i(tok_valid_i && tok_port_i == PortBits'(p)), .tok_idx_i, .tok_info_i,
      .r_i(rvalid_i && rid_i[RingBits +: PortBits] == PortBits'(p)), .r_idx_i(rid_i[RingBits-1:0]), .r_second_i(second_q),
      .r_last_i(rlast_i), .r_bad_i(bad_q || rresp_i[1]), .r_data_i(rdata_i),
      .head_valid_o(head_valid_o[p]), .head_info_o(head_info_o[p*slu_pkg::RingInfoBits +: slu_pkg::RingInfoBits]),
      .pop_i(pop_i[p]), .err_o(err_o[p]), .lo_o(lo_o[p*512 +: 512]), .hi_o(hi_o[p*512 +: 512])
    );
  end
endmodule
