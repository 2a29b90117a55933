// Parses the headers of a frame, checks its lengths and the IPv4 header checksum, and says why it needs the host if it does.
//
// No back-pressure, one beat a clock. key_o is valid in the clock after the frame's last beat (when slu_frame_store says
// commit_i); meta_o follows two clocks later with meta_valid_o.
module slu_parser (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic [31:0]  time_us_i,
  input  logic [47:0]  port_mac_i,
  // From slu_vlan_strip.
  input  logic         valid_i,
  input  logic [479:0] data_i,
  input  logic [31:0]  tail_i,
  input  logic         first_i,
  input  logic         last_i,
  input  logic         tagged_i,
  input  logic [15:0]  tci_i,
  // From slu_frame_store, the clock after the last beat.
  input  logic         commit_i,
  input  logic [13:0]  len_i,
  // To slu_frame_store.
  output slu_pkg::key_t        key_o,
  output logic                 meta_valid_o,
  output slu_pkg::frame_meta_t meta_o
);
  // Header fields of the current frame, raw bytes.
  logic         is6_q, is4_q, vlan_q, mac_own_q, tagged_q;
  logic [15:0]  tci_q;
  logic [7:0]   ver_ihl_q, ttl_q, proto_q;
  logic [15:0]  ip_len_q, frag_q, l3_csum_q, udp_len_q, sport_q, dport_q, csum_tcp4_q, csum_udp_q;
  logic [127:0] src_q, dst_q;
  logic [11:0]  tcp4_q, tcp6_q;  // data offset, flags
  logic [15:0]  csum_tcp6_q;
  logic [18:0]  sum_a_q, sum_b_q;
  logic         second_q;

  logic is6, is4;
  assign is6 = data_i[111:96] == 16'hDD86;
  assign is4 = data_i[111:96] == 16'h0008;

  always_ff @(posedge clk_i) begin
    if (valid_i && first_i) begin
      is6_q       <= is6;
      is4_q       <= is4;
      vlan_q      <= data_i[111:96] == 16'h0081 || data_i[111:96] == 16'hA888;
      mac_own_q   <= data_i[47:0] == port_mac_i;
      tagged_q    <= tagged_i;
      tci_q       <= tci_i;
      ver_ihl_q   <= data_i[119:112];
      ip_len_q    <= is6 ? {data_i[151:144], data_i[159:152]} : {data_i[135:128], data_i[143:136]};
      frag_q      <= {data_i[167:160], data_i[175:168]};
      ttl_q       <= is6 ? data_i[175:168] : data_i[183:176];
      proto_q     <= is6 ? data_i[167:160] : data_i[191:184];
      l3_csum_q   <= data_i[207:192];
      tcp4_q      <= {data_i[375:372], data_i[383:376]};
      csum_tcp4_q <= data_i[415:400];
      if (is6) begin
        src_q      <= data_i[303:176];
        dst_q      <= data_i[431:304];
        sport_q    <= data_i[447:432];
        dport_q    <= data_i[463:448];
        udp_len_q  <= {data_i[471:464], data_i[479:472]};
        csum_udp_q <= tail_i[15:0];
      end else begin
        src_q      <= {96'd0, data_i[239:208]};
        dst_q      <= {96'd0, data_i[271:240]};
        sport_q    <= data_i[287:272];
        dport_q    <= data_i[303:288];
        udp_len_q  <= {data_i[311:304], data_i[319:312]};
        csum_udp_q <= data_i[335:320];
      end
      // Ones' complement sums do not care for byte order, so the little-endian words of the bus do.
      sum_a_q <= 19'(data_i[127:112]) + 19'(data_i[143:128]) + 19'(data_i[159:144]) + 19'(data_i[175:160]) + 19'(data_i[191:176]);
      sum_b_q <= 19'(data_i[207:192]) + 19'(data_i[223:208]) + 19'(data_i[239:224]) + 19'(data_i[255:240]) + 19'(data_i[271:256]);
    end
    if (valid_i && second_q) begin
      tcp6_q      <= {data_i[23:20], data_i[31:24]};
      csum_tcp6_q <= data_i[63:48];
    end
    if (!rst_ni) second_q <= 1'b0;
    else if (valid_i) second_q <= first_i && !last_i;
  end

  always_comb begin
    key_o = '0;
    key_o.src = src_q;
    key_o.dst = dst_q;
    key_o.sport = sport_q;
    key_o.dport = dport_q;
    key_o.proto_vni = {24'd0, proto_q};
  end

  // Second stage: lengths against the frame's own.
  logic [13:0] room;  // bytes behind the Ethernet header
  logic [15:0] l4_len;
  logic        udp_p, tcp_p;
  logic [11:0] tcp;
  assign room   = len_i - 14'd14;
  assign l4_len = is6_q ? ip_len_q : ip_len_q - 16'd20;
  assign udp_p  = proto_q == 8'd17;
  assign tcp_p  = proto_q == 8'd6;
  assign tcp    = is6_q ? tcp6_q : tcp4_q;

  logic        s2_valid_q, s2_bad_ip_q, s2_options_q, s2_frag_q, s2_l4_other_q, s2_l4_short_q;
  logic        s2_vlan_q, s2_is4_q, s2_is6_q, s2_mac_own_q, s2_tagged_q, s2_tcp_q;
  logic [19:0] s2_sum_q;
  logic [15:0] s2_tci_q, s2_l3_csum_q, s2_l4_csum_q, s2_ip_len_q;
  logic [7:0]  s2_ttl_q, s2_proto_q, s2_flags_q;
  logic [13:0] s2_len_q;

  always_ff @(posedge clk_i) begin
    s2_valid_q <= rst_ni && commit_i;
    if (commit_i) begin
      if (is6_q) begin
        s2_bad_ip_q  <= ver_ihl_q[7:4] != 4'd6 || len_i < 14'd54 || {1'b0, ip_len_q} + 17'd40 > {3'd0, room};
        s2_frag_q    <= proto_q == 8'd44;
        s2_options_q <= proto_q == 8'd0 || proto_q == 8'd43 || proto_q == 8'd51 || proto_q == 8'd60 || proto_q == 8'd135 ||
                        proto_q == 8'd139 || proto_q == 8'd140;
        s2_ip_len_q  <= ip_len_q + 16'd40;
      end else begin
        s2_bad_ip_q  <= ver_ihl_q[7:4] != 4'd4 || ver_ihl_q[3:0] < 4'd5 || len_i < 14'd34 || ip_len_q > {2'd0, room} ||
                        ip_len_q < {10'd0, ver_ihl_q[3:0], 2'd0};
        s2_frag_q    <= frag_q[13:0] != 14'd0;
        s2_options_q <= ver_ihl_q[3:0] != 4'd5;
        s2_ip_len_q  <= ip_len_q;
      end
      s2_l4_other_q <= !udp_p && !tcp_p;
      if (udp_p) s2_l4_short_q <= l4_len < 16'd8 || udp_len_q != l4_len;
      else s2_l4_short_q <= l4_len < 16'd20 || tcp[11:8] < 4'd5 || {10'd0, tcp[11:8], 2'd0} > l4_len;
      s2_tcp_q      <= tcp_p;
      s2_sum_q      <= {1'b0, sum_a_q} + {1'b0, sum_b_q};
      s2_vlan_q     <= vlan_q;
      s2_is4_q      <= is4_q;
      s2_is6_q      <= is6_q;
      s2_mac_own_q  <= mac_own_q;
      s2_tagged_q   <= tagged_q;
      s2_tci_q      <= tci_q;
      s2_ttl_q      <= ttl_q;
      s2_proto_q    <= proto_q;
      s2_l3_csum_q  <= l3_csum_q;
      s2_flags_q    <= tcp[7:0];
      s2_l4_csum_q  <= udp_p ? csum_udp_q : is6_q ? csum_tcp6_q : csum_tcp4_q;
      s2_len_q      <= len_i;
    end
  end

  // Third stage: the reason. The first that applies, in the order of the headers. A function, so that the simulation looks at
  // it for valid headers only.
  logic ip_ok, l3_checked, l3_good, bad_csum, l4_ok;
  assign ip_ok      = (s2_is4_q || s2_is6_q) && !s2_bad_ip_q;
  assign l3_checked = s2_is4_q && ip_ok && !s2_options_q;
  // A carry out of this sum leaves at most 8, so a second fold cannot make 0xFFFF.
  assign l3_good    = {1'b0, s2_sum_q[15:0]} + 17'(s2_sum_q[19:16]) == 17'h0FFFF;
  assign bad_csum   = l3_checked && !l3_good;
  assign l4_ok      = ip_ok && !s2_vlan_q && !s2_options_q && !bad_csum && !s2_frag_q && !s2_l4_other_q && !s2_l4_short_q;

  function automatic logic [7:0] first_reason(input logic vlan, input logic ip, input logic bad_ip, input logic options,
      input logic csum, input logic frag, input logic l4_other, input logic l4_short);
    first_reason = slu_regs_pkg::REASON_NONE;
    if (vlan) first_reason = slu_regs_pkg::REASON_VLAN_STACK;
    else if (!ip) first_reason = slu_regs_pkg::REASON_NOT_IP;
    else if (bad_ip) first_reason = slu_regs_pkg::REASON_BAD_IP;
    else if (options) first_reason = slu_regs_pkg::REASON_IP_OPTION;
    else if (csum) first_reason = slu_regs_pkg::REASON_BAD_L3_CSUM;
    else if (frag) first_reason = slu_regs_pkg::REASON_FRAGMENT;
    else if (l4_other) first_reason = slu_regs_pkg::REASON_L4_OTHER;
    else if (l4_short) first_reason = slu_regs_pkg::REASON_L4_SHORT;
  endfunction

  always_ff @(posedge clk_i) begin
    meta_valid_o <= rst_ni && s2_valid_q;
    if (s2_valid_q) begin
      // One assignment in the order of slu_pkg::frame_meta_t: member by member costs the simulation several times as much.
      meta_o <= {(l4_ok && s2_tcp_q) ? s2_flags_q : 8'd0, s2_tagged_q ? s2_tci_q : 16'd0, time_us_i,
                 s2_ip_len_q, s2_l4_csum_q, s2_l3_csum_q, s2_ttl_q, ip_ok ? s2_proto_q : 8'd0,
                 1'b0, first_reason(s2_vlan_q, s2_is4_q || s2_is6_q, s2_bad_ip_q, s2_options_q, bad_csum, s2_frag_q, s2_l4_other_q,
                              s2_l4_short_q),
                 s2_tagged_q, s2_mac_own_q, bad_csum, l3_checked && l3_good, ip_ok && s2_frag_q,
                 l4_ok && !s2_tcp_q, l4_ok && s2_tcp_q, s2_is6_q && ip_ok, s2_is4_q && ip_ok, s2_len_q};
    end
  end
endmodule
