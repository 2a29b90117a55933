// Tags on chip: two banks of buckets with four slots; a slot is {valid, 17-bit tag}, a bucket one 72-bit word.
//
// Each bank has one read port for lookups and one write port for the host, so that writes never stall lookups. Both banks of a
// lookup are read in the same clock, so it sees a move between them as one change (make before break).
// Lookup latency: 4 clocks, one a clock, no back-pressure. A write is seen by lookups that enter one clock later.
module slu_tag_table #(
  parameter int unsigned BucketBits = 17
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  // Lookup. The raw words are for DUMP; dump_i comes with valid_i.
  input  logic                    valid_i,
  input  logic                    dump_i,
  input  logic [BucketBits-1:0]   bucket_a_i,
  input  logic [BucketBits-1:0]   bucket_b_i,
  input  logic [16:0]             tag_i,
  output logic                    hit_o,
  output logic [BucketBits+2:0]   slot_o,
  output logic [143:0]            words_o,  // bank B, bank A
  // Write.
  input  logic [1:0]              we_i,     // bank
  input  logic [BucketBits-1:0]   wbucket_i,
  input  logic [3:0]              wways_i,  // slots of the bucket to write
  input  logic [17:0]             wdata_i
);
  localparam int unsigned Depth = 1 << BucketBits;
  logic [71:0] bank_a [Depth];
  logic [71:0] bank_b [Depth];

  always_ff @(posedge clk_i) begin
    if (we_i != 2'b00) begin
      for (int w = 0; w < 4; w++) begin
        if (we_i[0] && wways_i[w]) bank_a[wbucket_i][18*w +: 18] <= wdata_i;
        if (we_i[1] && wways_i[w]) bank_b[wbucket_i][18*w +: 18] <= wdata_i;
      end
    end
  end

  logic [3:1] valid_q;
  logic [71:0] a1_q, b1_q, a2_q, b2_q;
  logic [BucketBits-1:0] bucket_a1_q, bucket_b1_q, bucket_a2_q, bucket_b2_q, bucket_a3_q, bucket_b3_q;
  logic [16:0] tag1_q, tag2_q;
  logic [7:0] match_q;
  logic [143:0] words3_q;

  // A block for each stage, so that the simulation can go through them from the last to the first without a copy in between.
  logic [3:1] dump_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[2:1], valid_i};
    dump_q <= {dump_q[2:1], dump_i};
  end
  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      a1_q        <= bank_a[bucket_a_i];
      b1_q        <= bank_b[bucket_b_i];
      bucket_a1_q <= bucket_a_i;
      bucket_b1_q <= bucket_b_i;
      tag1_q      <= tag_i;
    end
  end
  always_ff @(posedge clk_i) begin
    if (valid_q[1]) begin
      a2_q        <= a1_q;
      b2_q        <= b1_q;
      bucket_a2_q <= bucket_a1_q;
      bucket_b2_q <= bucket_b1_q;
      tag2_q      <= tag1_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (valid_q[2]) begin
      match_q <= {b2_q[71:54] == {1'b1, tag2_q}, b2_q[53:36] == {1'b1, tag2_q}, b2_q[35:18] == {1'b1, tag2_q},
                  b2_q[17:0] == {1'b1, tag2_q}, a2_q[71:54] == {1'b1, tag2_q}, a2_q[53:36] == {1'b1, tag2_q},
                  a2_q[35:18] == {1'b1, tag2_q}, a2_q[17:0] == {1'b1, tag2_q}};
      bucket_a3_q <= bucket_a2_q;
      bucket_b3_q <= bucket_b2_q;
    end
    if (dump_q[2]) words3_q <= {b2_q, a2_q};
  end
  always_ff @(posedge clk_i) begin
    if (dump_q[3]) words_o <= words3_q;
    if (valid_q[3]) begin
      hit_o   <= |match_q;
      // During a move a key matches twice; either is right.
      priority case (1'b1)
        match_q[0]: slot_o <= {1'b0, bucket_a3_q, 2'd0};
        match_q[1]: slot_o <= {1'b0, bucket_a3_q, 2'd1};
        match_q[2]: slot_o <= {1'b0, bucket_a3_q, 2'd2};
        match_q[3]: slot_o <= {1'b0, bucket_a3_q, 2'd3};
        match_q[4]: slot_o <= {1'b1, bucket_b3_q, 2'd0};
        match_q[5]: slot_o <= {1'b1, bucket_b3_q, 2'd1};
        match_q[6]: slot_o <= {1'b1, bucket_b3_q, 2'd2};
        default:    slot_o <= {1'b1, bucket_b3_q, 2'd3};
      endcase
    end
  end
endmodule
