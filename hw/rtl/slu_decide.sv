// Verdict on a port's frames, oldest first: compares the whole key with the record, checks the conditions, reads the next hop.
//
// Pops frames no faster than their beats go through slu_rewrite, so the verdict (stage 4) arrives there together with the first
// beat of data and stays until the last. Nothing behind the pop can stall: room is checked before.
// A request of the table port passes like a frame without beats.
module slu_decide #(
  parameter int unsigned NumPorts    = 2,
  parameter int unsigned Port        = 0,
  parameter int unsigned NextHopBits = 12
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // slu_record_fetch.
  input  logic                 head_valid_i,
  input  logic [slu_pkg::RingInfoBits-1:0] head_info_i,
  output logic                 pop_o,
  input  logic                 err_i,
  input  logic [511:0]         lo_i,
  input  logic [511:0]         hi_i,
  // slu_frame_store.
  input  logic [7:0]           beats_i,
  output logic                 pop_frame_o,
  input  logic [slu_pkg::KeyBits-1:0] key_i,
  input  slu_pkg::frame_meta_t meta_i,
  output logic                 read_o,
  // slu_next_hops.
  input  logic [NextHopBits-1:0] tbl_nh_index_i,
  output logic                 nh_re_o,
  output logic [NextHopBits-1:0] nh_addr_o,
  input  logic [143:0]         nh_i,
  // slu_table_port: a request came back; record halves in the clock of cmd_o, the next hop one later.
  output logic                 cmd_o,
  output logic                 cmd_err_o,
  // slu_rewrite: valid with the data that read_o asked for one clock before.
  input  logic                 room_i,
  output logic                 beat_o,
  output logic                 first_o,
  output logic                 last_o,
  output slu_pkg::verdict_t    verdict_o,
  output slu_pkg::frame_meta_t meta_o,
  // slu_retire: every frame, with the update of its flow's statistics if there is one.
  input  logic                 retire_room_i,
  output logic                 retire_o,
  output logic                 retire_epoch_o,
  output logic                 retire_update_o,
  output logic                 retire_count_o,
  output logic [31:0]          retire_flow_id_o,
  output logic [15:0]          retire_bytes_o,
  // Statistics, pulses.
  output logic                 tag_false_o,
  output logic                 rec_error_o,
  output logic                 idle_o
);
  // Stage 0: pop, and count beats.
  slu_pkg::ring_info_t info0, info1_q, info2_q, info3_q;
  logic [7:0] left_q;
  logic pop, pop_frame, beat0, first0, last0;
  assign info0     = head_info_i;
  assign pop_frame = head_valid_i && !info0.cmd && left_q == 8'd0 && room_i && retire_room_i;
  assign pop       = pop_frame || (head_valid_i && info0.cmd);
  assign first0    = pop_frame;
  assign beat0     = pop_frame || (left_q != 8'd0 && room_i);
  assign last0     = pop_frame ? beats_i == 8'd1 : left_q == 8'd1;
  assign pop_o       = pop;
  assign pop_frame_o = pop_frame;

  logic v1_q, v2_q, v3_q;
  logic [3:1] beat_q, first_q, last_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      left_q  <= 8'd0;
      v1_q    <= 1'b0;
      v2_q    <= 1'b0;
      v3_q    <= 1'b0;
      cmd_o   <= 1'b0;
      beat_q  <= '0;
      first_q <= '0;
      last_q  <= '0;
      beat_o  <= 1'b0;
    end else begin
      if (pop_frame) left_q <= beats_i - 8'd1;
      else if (beat0) left_q <= left_q - 8'd1;
      v1_q    <= pop_frame;
      v2_q    <= v1_q;
      v3_q    <= v2_q;
      cmd_o   <= pop && !pop_frame;
      beat_q  <= {beat_q[2:1], beat0};
      first_q <= {first_q[2:1], first0};
      last_q  <= {last_q[2:1], last0};
      beat_o  <= beat_q[3];
    end
    if (pop) info1_q <= info0;
    first_o <= first_q[3];
    last_o  <= last_q[3];
  end
  assign read_o = beat_q[3];
  assign idle_o = !v1_q && !v2_q && !v3_q && !cmd_o && left_q == 8'd0 && beat_q == '0 && !beat_o;

  // Stage 1: compare. The RAMs' outputs are the registers of this stage.
  slu_regs_pkg::record4_t r4;
  slu_pkg::key_t key;
  assign r4  = lo_i;
  assign key = key_i;
  assign cmd_err_o = err_i;
  assign nh_re_o   = (v1_q && info1_q.fetched) || cmd_o;
  assign nh_addr_o = cmd_o ? tbl_nh_index_i : r4.next_hop[NextHopBits-1:0];

  logic [6:0]   eq2_q;
  logic         torn2_q, cond2_q, flags2_q, ttl2_q, nh_range2_q, err2_q;
  slu_pkg::frame_meta_t meta2_q, meta3_q;
  logic [31:0]  actions2_q, flow_id2_q, mark2_q;
  logic [15:0]  queue2_q, sport2_q, dport2_q;
  logic [127:0] src2_q, dst2_q;
  logic [16:0]  l3_sum2_q, l4_sum2_q;
  logic         vlan_ok;

  always_comb begin
    vlan_ok = 1'b0;
    case (r4.vlan[15:14])
      slu_regs_pkg::VLAN_MATCH_ANY[1:0]:      vlan_ok = 1'b1;
      slu_regs_pkg::VLAN_MATCH_UNTAGGED[1:0]: vlan_ok = meta_i.tci[11:0] == 12'd0;  // tci is 0 when untagged
      slu_regs_pkg::VLAN_MATCH_VID[1:0]:      vlan_ok = meta_i.has_tag && meta_i.tci[11:0] == r4.vlan[11:0];
      default:                                vlan_ok = 1'b0;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (v1_q) begin
      info2_q <= info1_q;
      meta2_q <= meta_i;
    end
    if (v1_q && info1_q.fetched) begin
      err2_q      <= err_i;
      eq2_q[0]    <= r4.flags[slu_regs_pkg::REC_IPV6] == info1_q.is6;
      eq2_q[1]    <= {r4.vni[23:0], r4.proto} == key.proto_vni;
      eq2_q[2]    <= {r4.dport, r4.sport} == {key.dport, key.sport};
      eq2_q[3]    <= r4.src == key.src[31:0];  // the same place in record6
      if (info1_q.is6) begin
        eq2_q[4] <= lo_i[383:288] == key.src[127:32];
        eq2_q[5] <= hi_i[191:128] == key.dst[63:0];
        eq2_q[6] <= hi_i[255:192] == key.dst[127:64];
        src2_q   <= hi_i[383:256];
        dst2_q   <= hi_i[511:384];
      end else begin
        eq2_q[4] <= r4.dst == key.dst[31:0];
        eq2_q[5] <= 1'b1;
        eq2_q[6] <= 1'b1;
        src2_q   <= {96'd0, r4.new_src};
        dst2_q   <= {96'd0, r4.new_dst};
      end
      torn2_q     <= info1_q.is6 && r4.flags[slu_regs_pkg::REC_IPV6] && r4.gen != hi_i[7:0];
      cond2_q     <= r4.port_mask[Port] && vlan_ok && (meta_i.mac_own || !r4.flags[slu_regs_pkg::REC_MATCH_PORT_MAC]);
      flags2_q    <= (r4.tcp_zero & meta_i.tcp_flags) != 8'd0;
      ttl2_q      <= meta_i.ttl <= 8'd1 && r4.actions[slu_regs_pkg::ACT_DEC_TTL];
      nh_range2_q <= r4.next_hop[15:NextHopBits] == '0;
      actions2_q  <= r4.actions;
      flow_id2_q  <= r4.flow_id;
      mark2_q     <= r4.mark;
      queue2_q    <= r4.queue;
      sport2_q    <= r4.new_sport;
      dport2_q    <= r4.new_dport;
      // RFC 1624: HC' = ~(~HC + delta), in ones' complement; byte order does not matter.
      l3_sum2_q   <= {1'b0, ~meta_i.l3_csum} + {1'b0, r4.l3_delta};
      l4_sum2_q   <= {1'b0, ~meta_i.l4_csum} + {1'b0, r4.l4_delta};
    end
  end

  // Stage 2: the next hop has come.
  slu_regs_pkg::next_hop_t nh;
  assign nh = {112'd0, nh_i};

  logic         match3_q, torn3_q, cond3_q, flags3_q, ttl3_q, nh_ok3_q, mtu3_q, err3_q;
  logic [31:0]  actions3_q, flow_id3_q, mark3_q;
  logic [15:0]  queue3_q, sport3_q, dport3_q, l4_sum3_q;
  logic [127:0] src3_q, dst3_q;
  logic [17:0]  l3_sum3_q;
  logic [143:0] nh3_q;

  always_ff @(posedge clk_i) begin
    if (v2_q) begin
      info3_q <= info2_q;
      meta3_q <= meta2_q;
    end
    if (v2_q && info2_q.fetched) begin
      err3_q     <= err2_q;
      match3_q   <= &eq2_q;
      torn3_q    <= torn2_q;
      cond3_q    <= cond2_q;
      flags3_q   <= flags2_q;
      ttl3_q     <= ttl2_q;
      nh_ok3_q   <= nh_range2_q && nh.flags[slu_regs_pkg::NH_VALID] && nh.port < 8'(NumPorts);
      mtu3_q     <= nh.mtu != 16'd0 && meta2_q.ip_len > nh.mtu;
      actions3_q <= actions2_q;
      flow_id3_q <= flow_id2_q;
      mark3_q    <= mark2_q;
      queue3_q   <= queue2_q;
      sport3_q   <= sport2_q;
      dport3_q   <= dport2_q;
      src3_q     <= src2_q;
      dst3_q     <= dst2_q;
      nh3_q      <= nh_i;
      // TTL is the first byte of its 16-bit word, the low one here: one less is -1.
      l3_sum3_q  <= {1'b0, l3_sum2_q} + (actions2_q[slu_regs_pkg::ACT_DEC_TTL] ? 18'h0FFFE : 18'd0);
      l4_sum3_q  <= l4_sum2_q[15:0] + {15'd0, l4_sum2_q[16]};
    end
  end

  // Stage 3: the verdict.
  slu_regs_pkg::next_hop_t nh3;
  logic        hit, fwd, use_rec, act_drop, act_host, act_fwd;
  logic [16:0] l3_fold;
  logic [15:0] l3_csum, l4_csum;
  assign nh3     = {112'd0, nh3_q};
  assign use_rec = info3_q.fetched && match3_q && !torn3_q && !err3_q;
  assign act_drop = actions3_q[slu_regs_pkg::ACT_DROP];
  assign act_host = actions3_q[slu_regs_pkg::ACT_TO_HOST] && !act_drop;
  assign act_fwd  = actions3_q[slu_regs_pkg::ACT_FORWARD] && !act_drop && !act_host;
  // A rule that can be carried out; what it wants is act_*.
  assign hit = use_rec && meta3_q.reason == slu_regs_pkg::REASON_NONE && cond3_q && !flags3_q &&
               (act_drop || act_host || (act_fwd && nh_ok3_q && !ttl3_q && !mtu3_q));
  assign fwd = hit && act_fwd;

  // Why the host gets a frame that no rule drops or forwards.
  function automatic logic [7:0] first_reason(input logic off, input logic [7:0] parsed, input logic fetched, input logic torn,
      input logic match, input logic cond, input logic flags, input logic rule, input logic nh_ok, input logic ttl);
    first_reason = slu_regs_pkg::REASON_MTU;
    if (off) first_reason = slu_regs_pkg::REASON_LOOKUP_OFF;
    else if (parsed != slu_regs_pkg::REASON_NONE) first_reason = parsed;
    else if (!fetched) first_reason = slu_regs_pkg::REASON_MISS;
    else if (torn) first_reason = slu_regs_pkg::REASON_TORN;
    else if (!match) first_reason = slu_regs_pkg::REASON_MISS;
    else if (!cond) first_reason = slu_regs_pkg::REASON_CONDITION;
    else if (flags) first_reason = slu_regs_pkg::REASON_TCP_FLAGS;
    else if (rule) first_reason = slu_regs_pkg::REASON_RULE;
    else if (!nh_ok) first_reason = slu_regs_pkg::REASON_NEXTHOP;
    else if (ttl) first_reason = slu_regs_pkg::REASON_TTL;
  endfunction

  assign l3_fold = {1'b0, l3_sum3_q[15:0]} + {15'd0, l3_sum3_q[17:16]};
  assign l3_csum = ~(l3_fold[15:0] + {15'd0, l3_fold[16]});
  // UDP: 0 says there is no checksum and stays; a computed 0 is sent as 0xFFFF.
  assign l4_csum = meta3_q.udp && meta3_q.l4_csum == 16'd0 ? 16'd0 :
                   meta3_q.udp && l4_sum3_q == 16'hFFFF ? 16'hFFFF : ~l4_sum3_q;

  always_ff @(posedge clk_i) begin
    if (v3_q) begin
      meta_o <= meta3_q;
      // One assignment in the order of slu_pkg::verdict_t.
      verdict_o <= {fwd, !hit || act_host, use_rec, hit && act_host,
                    nh3.flags[slu_regs_pkg::NH_VLAN_SET] || (nh3.flags[slu_regs_pkg::NH_VLAN_KEEP] && meta3_q.has_tag),
                    actions3_q[slu_regs_pkg::ACT_SET_DMAC], actions3_q[slu_regs_pkg::ACT_SET_SMAC],
                    actions3_q[slu_regs_pkg::ACT_SET_SRC], actions3_q[slu_regs_pkg::ACT_SET_DST],
                    actions3_q[slu_regs_pkg::ACT_SET_SPORT], actions3_q[slu_regs_pkg::ACT_SET_DPORT],
                    first_reason(info3_q.off, meta3_q.reason, info3_q.fetched && !err3_q, torn3_q, match3_q, cond3_q, flags3_q,
                                 act_host, act_fwd && nh_ok3_q, ttl3_q),
                    nh3.port,
                    actions3_q[slu_regs_pkg::ACT_DEC_TTL] ? meta3_q.ttl - 8'd1 : meta3_q.ttl,
                    nh3.flags[slu_regs_pkg::NH_VLAN_SET] ? {nh3.vlan_tci[7:0], nh3.vlan_tci[15:8]} : meta3_q.tci,
                    (hit && act_host) ? queue3_q : 16'hFFFF,
                    mark3_q, flow_id3_q, l3_csum, l4_csum, nh3.dmac, nh3.smac, sport3_q, dport3_q, src3_q, dst3_q};
    end
  end

  always_ff @(posedge clk_i) begin
    retire_o    <= rst_ni && v3_q;
    rec_error_o <= rst_ni && v3_q && info3_q.fetched && err3_q;
    if (v3_q) begin
      tag_false_o      <= info3_q.fetched && !err3_q && !torn3_q && !match3_q;  // with the verdict
      retire_epoch_o   <= info3_q.epoch;
      retire_update_o  <= hit;
      retire_count_o   <= actions3_q[slu_regs_pkg::ACT_COUNT];
      retire_flow_id_o <= flow_id3_q;
      retire_bytes_o   <= {2'd0, meta3_q.len} + (meta3_q.has_tag ? 16'd4 : 16'd0);
    end
  end
endmodule
