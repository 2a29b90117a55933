// Keyed hash of a flow key: the NH universal hash (Black et al., CRYPTO '99) and two multiplicative finalisers.
//
//   s   = sum over i of (w[2i]+k[2i]) * (w[2i+1]+k[2i+1])  mod 2^64
//   f0  = (s.lo + k10) * (s.hi + k11)        bucket of bank A = f0[24 +: BucketBits]
//   f1  = (s.lo ^ k12) * (s.hi ^ k13 ^ rot16(s.lo))    tag = f1[28 +: 17]
//   alt = ((tag + 1) * 0x9E3779B1 mod 2^32) >> (32 - BucketBits)    bucket of bank B = bucket of bank A ^ alt
//
// Latency: Latency clocks, one key a clock, no back-pressure. Every product has two registers behind it for the DSP blocks.
module slu_key_hash #(
  parameter int unsigned BucketBits = 17
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic [14*32-1:0]           hash_key_i,
  input  logic                       valid_i,
  input  logic [slu_pkg::KeyBits-1:0] key_i,
  output logic                       valid_o,
  output logic [BucketBits-1:0]      bucket_a_o,
  output logic [BucketBits-1:0]      bucket_b_o,
  output logic [16:0]                tag_o
);
  localparam int unsigned Latency = 11;  // known to slu_lookup

  logic [Latency:1] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Latency-1:1], valid_i};
  end

  // 1: add the key. 2, 3: five products.
  logic [5*64-1:0] prod;
  for (genvar i = 0; i < 5; i++) begin : g_nh
    logic [31:0] a_q, b_q;
    logic [63:0] p2_q, p3_q;
    always_ff @(posedge clk_i) begin
      if (valid_i) begin
        a_q <= key_i[64*i +: 32] + hash_key_i[64*i +: 32];
        b_q <= key_i[64*i+32 +: 32] + hash_key_i[64*i+32 +: 32];
      end
      if (valid_q[1]) p2_q <= 64'(a_q) * 64'(b_q);
      if (valid_q[2]) p3_q <= p2_q;
    end
    assign prod[64*i +: 64] = p3_q;
  end

  // 4, 5, 6: their sum. 7: operands of the finalisers. 8, 9: finalisers.
  logic [63:0] s01_q, s23_q, s4_q, s03_q, s4b_q, s_q;
  logic [31:0] x0_q, y0_q, x1_q, y1_q;
  logic [63:0] f0_q, f1_q;
  logic [BucketBits-1:0] bucket9_q, bucket10_q;
  logic [16:0] tag9_q, tag10_q;
  logic [31:0] alt_q;

  always_ff @(posedge clk_i) begin
    if (valid_q[3]) begin
      s01_q <= prod[63:0] + prod[127:64];
      s23_q <= prod[191:128] + prod[255:192];
      s4_q  <= prod[319:256];
    end
    if (valid_q[4]) begin
      s03_q <= s01_q + s23_q;
      s4b_q <= s4_q;
    end
    if (valid_q[5]) s_q <= s03_q + s4b_q;
    if (valid_q[6]) begin
      x0_q <= s_q[31:0] + hash_key_i[10*32 +: 32];
      y0_q <= s_q[63:32] + hash_key_i[11*32 +: 32];
      x1_q <= s_q[31:0] ^ hash_key_i[12*32 +: 32];
      y1_q <= s_q[63:32] ^ hash_key_i[13*32 +: 32] ^ {s_q[15:0], s_q[31:16]};
    end
    if (valid_q[7]) begin
      f0_q <= 64'(x0_q) * 64'(y0_q);
      f1_q <= 64'(x1_q) * 64'(y1_q);
    end
    if (valid_q[8]) begin
      bucket9_q <= f0_q[24 +: BucketBits];
      tag9_q    <= f1_q[28 +: 17];
    end
    // 10: the distance to bank B's bucket. 11: output.
    if (valid_q[9]) begin
      alt_q      <= (32'(tag9_q) + 32'd1) * 32'h9E3779B1;
      bucket10_q <= bucket9_q;
      tag10_q    <= tag9_q;
    end
    if (valid_q[10]) begin
      bucket_a_o <= bucket10_q;
      bucket_b_o <= bucket10_q ^ alt_q[31 -: BucketBits];
      tag_o      <= tag10_q;
    end
  end
  assign valid_o = valid_q[Latency];
endmodule
