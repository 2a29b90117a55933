// The lookup pipeline that all ports share: arbiter, key hash, tag table.
//
// One token a clock: a frame's lookup, or a request of the table port, which goes first (a DUMP takes one slot of the pipeline and
// writes take none). Every frame gets a ring entry in slu_record_fetch, so verdicts come in the order of the port's frames.
// From grant to tok_valid_o: 16 clocks, no back-pressure.
module slu_lookup #(
  parameter int unsigned NumPorts   = 2,
  parameter int unsigned BucketBits = 17,
  parameter int unsigned RingBits   = 9,
  parameter int unsigned PortBits   = 1
) (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  input  logic                                  lookup_enable_i,
  input  logic [14*32-1:0]                      hash_key_i,
  // slu_frame_store of every port; key, need and is6 one clock after issue.
  input  logic [NumPorts-1:0]                   req_i,
  output logic [NumPorts-1:0]                   issue_o,
  input  logic [NumPorts*slu_pkg::KeyBits-1:0]  key_i,
  input  logic [NumPorts-1:0]                   need_i,
  input  logic [NumPorts-1:0]                   is6_i,
  // slu_epoch.
  output logic                                  epoch_issue_o,
  input  logic                                  epoch_i,
  // Ring entries of slu_record_fetch.
  input  logic [NumPorts-1:0]                   room_i,
  input  logic [NumPorts*RingBits-1:0]          idx_i,
  output logic [NumPorts-1:0]                   alloc_o,
  // slu_table_port.
  input  logic                                  tbl_req_i,
  input  logic [1:0]                            tbl_kind_i,
  input  logic [31:0]                           tbl_slot_i,
  output logic                                  tbl_grant_o,
  input  logic [1:0]                            tag_we_i,
  input  logic [BucketBits-1:0]                 tag_wbucket_i,
  input  logic [3:0]                            tag_wways_i,
  input  logic [17:0]                           tag_wdata_i,
  // Result.
  output logic                                  tok_valid_o,
  output logic [1:0]                            tok_kind_o,
  output logic [PortBits-1:0]                   tok_port_o,
  output logic [RingBits-1:0]                   tok_idx_o,
  output logic [slu_pkg::RingInfoBits-1:0] tok_info_o,
  output logic [BucketBits+2:0]                 tok_slot_o,
  output logic [143:0]                          tok_words_o
);
  // Round robin among the ports.
  logic [NumPorts-1:0] want, grant;
  logic [PortBits-1:0] last_q, grant_port;
  logic tbl_ring, tbl_grant;
  assign want     = req_i & room_i;
  assign tbl_ring = tbl_kind_i != slu_pkg::LookupDump;
  always_comb begin
    grant      = '0;
    grant_port = '0;
    tbl_grant  = tbl_req_i && (!tbl_ring || room_i[0]);
    if (!tbl_grant) begin
      for (int i = 0; i < NumPorts; i++) begin
        if (want[i] && PortBits'(i) <= last_q && grant == '0) begin
          // Second choice: overwritten below by a port after the last one served.
          grant[i]   = 1'b1;
          grant_port = PortBits'(i);
        end
      end
      for (int i = NumPorts - 1; i >= 0; i--) begin
        if (want[i] && PortBits'(i) > last_q) begin
          grant      = '0;
          grant[i]   = 1'b1;
          grant_port = PortBits'(i);
        end
      end
    end
  end
  assign issue_o       = grant;
  assign epoch_issue_o = |grant;
  assign tbl_grant_o   = tbl_grant;
  always_comb begin
    alloc_o = grant;
    if (tbl_grant && tbl_ring) alloc_o[0] = 1'b1;
  end

  // Tokens 1..16; 1 is the clock after the grant, 12 enters the tag table.
  localparam int unsigned Hash = 12;
  localparam int unsigned Last = 16;
  typedef struct packed {
    logic [1:0]          kind;
    logic [PortBits-1:0] port;
    logic [RingBits-1:0] idx;
    logic                epoch;
    logic                off;
    logic                need;
    logic                is6;
  } token_t;
  logic [Last:1] valid_q;
  localparam int unsigned TokenBits = 2 + PortBits + RingBits + 4;
  // Four to a word, the youngest lowest: one array element each would cost the simulation several times as much.
  logic [4*TokenBits-1:0] tok_a_q, tok_b_q, tok_c_q, tok_d_q;
  token_t first, tok1, tok12, tok16;
  assign first = tok_a_q[TokenBits-1:0];
  assign tok12 = tok_c_q[4*TokenBits-1 -: TokenBits];
  assign tok16 = tok_d_q[4*TokenBits-1 -: TokenBits];

  logic [PortBits-1:0] port1;
  assign port1 = first.port;
  always_comb begin
    tok1 = {tok_a_q[TokenBits-1:2], need_i[port1] && !first.off && first.kind == slu_pkg::LookupFrame,
            first.kind == slu_pkg::LookupFrame ? is6_i[port1] : 1'b1};
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      last_q  <= '0;
    end else begin
      valid_q <= {valid_q[Last-1:1], tbl_grant || |grant};
      if (|grant) last_q <= grant_port;
    end
    tok_a_q <= {tok_a_q[3*TokenBits-1:TokenBits], tok1, tbl_grant ? tbl_kind_i : slu_pkg::LookupFrame, grant_port,
                idx_i[grant_port*RingBits +: RingBits], epoch_i, !lookup_enable_i, 1'b0, 1'b0};
    tok_b_q <= {tok_b_q[3*TokenBits-1:0], tok_a_q[4*TokenBits-1 -: TokenBits]};
    tok_c_q <= {tok_c_q[3*TokenBits-1:0], tok_b_q[4*TokenBits-1 -: TokenBits]};
    tok_d_q <= {tok_d_q[3*TokenBits-1:0], tok_c_q[4*TokenBits-1 -: TokenBits]};
  end

  logic                       hash_valid;
  logic [BucketBits-1:0]      bucket_a, bucket_b;
  logic [16:0]                tag;
  logic [slu_pkg::KeyBits-1:0] key1;
  assign key1 = key_i[port1*slu_pkg::KeyBits +: slu_pkg::KeyBits];

  slu_key_hash #(.BucketBits(BucketBits)) u_hash (
    .clk_i, .rst_ni, .hash_key_i,
    .valid_i(valid_q[1] && tok1.need), .key_i(key1),
    .valid_o(hash_valid), .bucket_a_o(bucket_a), .bucket_b_o(bucket_b), .tag_o(tag)
  );

  logic dump, tag_hit;
  logic [BucketBits+2:0] tag_slot;
  assign dump = valid_q[Hash] && tok12.kind == slu_pkg::LookupDump;
  slu_tag_table #(.BucketBits(BucketBits)) u_tags (
    .clk_i, .rst_ni,
    .valid_i(hash_valid || dump), .dump_i(dump),
    .bucket_a_i(dump ? tbl_slot_i[BucketBits-1:0] : bucket_a), .bucket_b_i(dump ? tbl_slot_i[BucketBits-1:0] : bucket_b),
    .tag_i(tag),
    .hit_o(tag_hit), .slot_o(tag_slot), .words_o(tok_words_o),
    .we_i(tag_we_i), .wbucket_i(tag_wbucket_i), .wways_i(tag_wways_i), .wdata_i(tag_wdata_i)
  );

  // hit_o and slot_o belong to this token if it was looked up.
  slu_pkg::ring_info_t info;
  logic cmd;
  assign cmd = tok16.kind != slu_pkg::LookupFrame;
  assign info = {tok16.epoch, cmd, tok16.off && !cmd, (tok16.need && tag_hit) || tok16.kind == slu_pkg::LookupRecord, tok16.is6};
  assign tok_valid_o = valid_q[Last];
  assign tok_kind_o  = tok16.kind;
  assign tok_port_o  = tok16.port;
  assign tok_idx_o   = tok16.idx;
  assign tok_info_o  = info;
  assign tok_slot_o  = tok16.kind == slu_pkg::LookupRecord ? tbl_slot_i[BucketBits+2:0] : tag_slot;
endmodule
