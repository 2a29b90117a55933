// Serves the host interface's requests to the flow table, one at a time, and clears the table after reset.
//
// Tag and next-hop writes use their RAM's write port and never disturb lookups; DUMP, READ_RECORD and READ_NEXTHOP each take one
// slot of the lookup pipeline, the latter two one ring entry of port 0. A map of valid bits on this side keeps the count exact.
module slu_table_port #(
  parameter int unsigned BucketBits  = 17,
  parameter int unsigned NextHopBits = 12
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   flow_rst_i,
  // Host interface.
  input  logic                   valid_i,
  output logic                   ready_o,
  input  logic [2:0]             op_i,
  input  logic [31:0]            slot_i,
  input  logic [16:0]            tag_i,
  input  logic [143:0]           nh_i,
  output logic                   done_o,
  output logic                   err_o,
  output logic [1023:0]          rdata_o,
  output logic [31:0]            tags_valid_o,
  output logic                   busy_o,
  // slu_lookup.
  output logic                   req_o,
  output logic [1:0]             kind_o,
  output logic [31:0]            slot_o,
  input  logic                   grant_i,
  output logic [1:0]             tag_we_o,
  output logic [BucketBits-1:0]  tag_wbucket_o,
  output logic [3:0]             tag_wways_o,
  output logic [17:0]            tag_wdata_o,
  input  logic                   dump_valid_i,
  input  logic [143:0]           dump_words_i,
  // slu_decide of port 0: answer to READ_RECORD and READ_NEXTHOP; the next hop one clock later.
  input  logic                   cmd_i,
  input  logic                   cmd_err_i,
  input  logic [511:0]           cmd_lo_i,
  input  logic [511:0]           cmd_hi_i,
  input  logic [143:0]           cmd_nh_i,
  // slu_next_hops.
  output logic                   nh_we_o,
  output logic [NextHopBits-1:0] nh_waddr_o,
  output logic [143:0]           nh_wdata_o,
  // slu_epoch.
  output logic                   fence_o,
  input  logic                   fence_done_i,
  output logic                   idle_o
);
  localparam int unsigned SweepBits = BucketBits > NextHopBits ? BucketBits : NextHopBits;

  typedef enum logic [3:0] {
    StSweep, StIdle, StRead, StWrite, StDump, StNextHop, StAsk, StAnswer, StAnswerNh, StFence, StFenceWait, StDone
  } state_e;
  state_e state_q;

  logic [2:0]           op_q;
  logic [31:0]          slot_q;
  logic [16:0]          tag_q;
  logic [143:0]         nh_q;
  logic [SweepBits-1:0] sweep_q;
  logic                 quiet_q;      // the sweep was not asked for through the table port
  logic                 rst_pending_q;
  logic [31:0]          tags_valid_q;

  logic [7:0] map_mem [1 << BucketBits];
  logic [7:0] map_q, map_new;
  logic [2:0] map_bit;
  logic       set;
  assign map_bit = {slot_q[BucketBits+2], slot_q[1:0]};
  assign set     = op_q == slu_pkg::TBL_SET_TAG;
  always_comb begin
    map_new = map_q;
    map_new[map_bit] = set;
  end

  logic sweeping;
  assign sweeping      = state_q == StSweep;
  assign busy_o        = sweeping;
  assign ready_o       = state_q == StIdle && !rst_pending_q;
  assign done_o        = state_q == StDone;
  assign req_o         = state_q == StAsk;
  assign kind_o        = op_q == slu_pkg::TBL_DUMP ? slu_pkg::LookupDump :
                         op_q == slu_pkg::TBL_READ_RECORD ? slu_pkg::LookupRecord : slu_pkg::LookupNextHop;
  assign slot_o        = slot_q;
  assign fence_o       = state_q == StFence;
  assign tags_valid_o  = tags_valid_q;
  assign tag_we_o      = sweeping ? 2'b11 : state_q == StWrite ? (slot_q[BucketBits+2] ? 2'b10 : 2'b01) : 2'b00;
  assign tag_wbucket_o = sweeping ? sweep_q[BucketBits-1:0] : slot_q[BucketBits+1:2];
  assign tag_wways_o   = sweeping ? 4'b1111 : 4'b0001 << slot_q[1:0];
  assign tag_wdata_o   = (!sweeping && set) ? {1'b1, tag_q} : 18'd0;
  assign nh_we_o       = sweeping || state_q == StNextHop;
  assign nh_waddr_o    = sweeping ? sweep_q[NextHopBits-1:0] : slot_q[NextHopBits-1:0];
  assign nh_wdata_o    = sweeping ? 144'd0 : nh_q;
  assign idle_o        = state_q == StIdle && !rst_pending_q && !valid_i;

  always_ff @(posedge clk_i) begin
    if (sweeping) map_mem[sweep_q[BucketBits-1:0]] <= 8'd0;
    else if (state_q == StWrite) map_mem[slot_q[BucketBits+1:2]] <= map_new;
    if (state_q == StRead) map_q <= map_mem[op_q == slu_pkg::TBL_DUMP ? slot_q[BucketBits-1:0] : slot_q[BucketBits+1:2]];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q       <= StSweep;
      sweep_q       <= '0;
      quiet_q       <= 1'b1;
      rst_pending_q <= 1'b0;
      tags_valid_q  <= 32'd0;
      err_o         <= 1'b0;
    end else begin
      if (flow_rst_i) rst_pending_q <= 1'b1;
      unique case (state_q)
        StSweep: begin
          tags_valid_q <= 32'd0;
          sweep_q      <= sweep_q + 1'b1;
          if (sweep_q == '1) state_q <= StFence;
        end
        StIdle: begin
          err_o <= 1'b0;
          if (rst_pending_q) begin
            rst_pending_q <= flow_rst_i;
            quiet_q       <= 1'b1;
            sweep_q       <= '0;
            state_q       <= StSweep;
          end else if (valid_i) begin
            quiet_q <= 1'b0;
            op_q    <= op_i;
            slot_q  <= slot_i;
            tag_q   <= tag_i;
            nh_q    <= nh_i;
            sweep_q <= '0;
            unique case (op_i)
              slu_pkg::TBL_SET_TAG, slu_pkg::TBL_CLEAR_TAG, slu_pkg::TBL_DUMP: state_q <= StRead;
              slu_pkg::TBL_WRITE_NEXTHOP:                   state_q <= StNextHop;
              slu_pkg::TBL_FENCE:                           state_q <= StFence;
              slu_pkg::TBL_FLOW_RESET:                      state_q <= StSweep;
              default:                                      state_q <= StAsk;
            endcase
          end
        end
        StRead: state_q <= op_q == slu_pkg::TBL_DUMP ? StDump : StWrite;
        // Of an empty bucket nothing has to be asked.
        StDump: state_q <= map_q == 8'd0 ? StDone : StAsk;
        StWrite: begin
          if (set && !map_q[map_bit]) tags_valid_q <= tags_valid_q + 32'd1;
          if (!set && map_q[map_bit]) tags_valid_q <= tags_valid_q - 32'd1;
          state_q <= StDone;
        end
        StNextHop: state_q <= StDone;
        StAsk: if (grant_i) state_q <= StAnswer;
        StAnswer: begin
          if (dump_valid_i) state_q <= StDone;
          else if (cmd_i) begin
            err_o   <= cmd_err_i && op_q == slu_pkg::TBL_READ_RECORD;
            state_q <= op_q == slu_pkg::TBL_READ_RECORD ? StDone : StAnswerNh;
          end
        end
        StAnswerNh: state_q <= StDone;
        StFence: state_q <= StFenceWait;
        StFenceWait: if (fence_done_i) state_q <= quiet_q ? StIdle : StDone;
        default: state_q <= StIdle;
      endcase
    end
    if (state_q == StAnswer && dump_valid_i) begin
      for (int w = 0; w < 8; w++) begin
        rdata_o[32*w +: 32] <= {dump_words_i[18*w+17], 14'd0, dump_words_i[18*w +: 17]};
      end
    end else if (state_q == StAnswer && cmd_i) begin
      rdata_o <= {cmd_hi_i, cmd_lo_i};
    end else if (state_q == StDump) begin
      rdata_o[255:0] <= '0;
    end else if (state_q == StAnswerNh) begin
      rdata_o[255:0] <= {112'd0, cmd_nh_i};
    end
  end
endmodule
