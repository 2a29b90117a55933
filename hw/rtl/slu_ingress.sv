// A wire port's way in: everything from the wire to the verdict and what follows from it.
module slu_ingress #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned Port          = 0,
  parameter int unsigned NextHopBits   = 12,
  parameter int unsigned StoreBits     = 10,
  parameter int unsigned HostStoreBits = 11
) (
  input  logic                   clk_i,
  input  logic                   clk_stats_i,  // runs also when only the way out of the port has something to count
  input  logic                   rst_ni,
  input  logic [31:0]            time_us_i,
  input  logic [47:0]            port_mac_i,
  input  logic                   port_enable_i,
  input  logic                   vlan_strip_i,
  // Wire.
  input  logic                   rx_valid_i,
  input  logic [511:0]           rx_data_i,
  input  logic [63:0]            rx_keep_i,
  input  logic                   rx_last_i,
  input  logic                   rx_err_i,
  // slu_lookup.
  output logic                   req_o,
  input  logic                   issue_i,
  output logic [slu_pkg::KeyBits-1:0] issue_key_o,
  output logic                   issue_need_o,
  output logic                   issue_is6_o,
  // slu_record_fetch.
  input  logic                   head_valid_i,
  input  logic [slu_pkg::RingInfoBits-1:0] head_info_i,
  output logic                   pop_o,
  input  logic                   err_i,
  input  logic [511:0]           lo_i,
  input  logic [511:0]           hi_i,
  // slu_next_hops.
  output logic                   nh_re_o,
  output logic [NextHopBits-1:0] nh_addr_o,
  input  logic [143:0]           nh_i,
  // slu_table_port.
  input  logic [NextHopBits-1:0] tbl_nh_index_i,
  output logic                   cmd_o,
  output logic                   cmd_err_o,
  // slu_retire.
  input  logic                   retire_room_i,
  output logic                   retire_o,
  output logic                   retire_epoch_o,
  output logic                   retire_update_o,
  output logic                   retire_count_o,
  output logic [31:0]            retire_flow_id_o,
  output logic [15:0]            retire_bytes_o,
  // slu_egress.
  output logic                   fwd_valid_o,
  input  logic                   fwd_pop_i,
  output logic [7:0]             fwd_dest_o,
  output logic                   fwd_last_o,
  output logic [6:0]             fwd_bytes_o,
  output logic                   fwd_tag_valid_o,
  output logic [15:0]            fwd_tag_o,
  output logic [511:0]           fwd_data_o,
  input  logic                   tx_frame_i,
  input  logic [23:0]            tx_bytes_i,
  input  logic                   tx_from_host_i,
  // Host interface.
  output logic                   hrx_valid_o,
  input  logic                   hrx_ready_i,
  output logic [511:0]           hrx_data_o,
  output logic [6:0]             hrx_bytes_o,
  output logic                   hrx_last_o,
  output slu_pkg::rx_meta_t      hrx_meta_o,
  // Statistics of the port.
  input  logic [4:0]             pstat_idx_i,
  output logic [63:0]            pstat_value_o,
  output logic                   rec_error_o,
  output logic                   idle_o
);
  logic         s_valid, s_first, s_last, s_err, s_tagged, strip_idle, store_idle, decide_idle, rewrite_idle, host_idle;
  logic [479:0] s_data;
  logic [511:0] data;
  logic [31:0]  s_tail;
  logic [6:0]   s_bytes;
  logic [15:0]  s_tci;
  logic         commit, meta_valid, read, beat, first, last, fwd_room, pop_frame;
  logic [13:0]  len;
  logic [7:0]   beats;
  logic [23:0]  wire_len;
  logic         frame, drop_err, drop_runt, drop_giant, drop_full, tag_false, taken, host_full, host_off;
  slu_pkg::key_t        parse_key;
  slu_pkg::frame_meta_t parse_meta, store_meta, meta;
  slu_pkg::verdict_t    verdict;
  logic [slu_pkg::KeyBits-1:0] store_key;

  slu_vlan_strip u_strip (
    .clk_i, .rst_ni,
    .rx_valid_i, .rx_data_i, .rx_keep_i,
    .rx_last_i, .rx_err_i,
    .valid_o(s_valid), .data_o(s_data), .tail_o(s_tail), .bytes_o(s_bytes), .first_o(s_first), .last_o(s_last), .err_o(s_err),
    .tagged_o(s_tagged), .tci_o(s_tci), .idle_o(strip_idle)
  );

  slu_parser u_parser (
    .clk_i, .rst_ni, .time_us_i, .port_mac_i,
    .valid_i(s_valid), .data_i(s_data), .tail_i(s_tail), .first_i(s_first), .last_i(s_last), .tagged_i(s_tagged), .tci_i(s_tci),
    .commit_i(commit), .len_i(len),
    .key_o(parse_key), .meta_valid_o(meta_valid), .meta_o(parse_meta)
  );

  slu_frame_store #(.StoreBits(StoreBits)) u_store (
    .clk_i, .rst_ni,
    .valid_i(s_valid), .data_i(s_data), .tail_i(s_tail), .bytes_i(s_bytes), .first_i(s_first), .last_i(s_last), .err_i(s_err),
    .tagged_i(s_tagged),
    .commit_o(commit), .len_o(len), .key_i(parse_key), .meta_valid_i(meta_valid), .meta_i(parse_meta),
    .req_o, .issue_i, .issue_key_o,
    .issue_need_o, .issue_is6_o,
    .beats_o(beats), .pop_i(pop_frame), .key_o(store_key), .meta_o(store_meta),
    .read_i(read), .data_o(data),
    .frame_o(frame), .wire_len_o(wire_len), .drop_err_o(drop_err), .drop_runt_o(drop_runt), .drop_giant_o(drop_giant),
    .drop_full_o(drop_full), .idle_o(store_idle)
  );

  slu_decide #(.NumPorts(NumPorts), .Port(Port), .NextHopBits(NextHopBits)) u_decide (
    .clk_i, .rst_ni,
    .head_valid_i, .head_info_i, .pop_o, .err_i,
    .lo_i, .hi_i,
    .beats_i(beats), .pop_frame_o(pop_frame), .key_i(store_key), .meta_i(store_meta), .read_o(read),
    .tbl_nh_index_i, .nh_re_o, .nh_addr_o,
    .nh_i,
    .cmd_o, .cmd_err_o,
    .room_i(fwd_room), .beat_o(beat), .first_o(first), .last_o(last), .verdict_o(verdict), .meta_o(meta),
    .retire_room_i, .retire_o, .retire_epoch_o, .retire_update_o,
    .retire_count_o, .retire_flow_id_o, .retire_bytes_o,
    .tag_false_o(tag_false), .rec_error_o, .idle_o(decide_idle)
  );

  slu_rewrite u_rewrite (
    .clk_i, .rst_ni,
    .room_o(fwd_room), .beat_i(beat), .first_i(first), .last_i(last), .verdict_i(verdict), .meta_i(meta), .data_i(data),
    .valid_o(fwd_valid_o), .pop_i(fwd_pop_i), .dest_o(fwd_dest_o), .last_o(fwd_last_o),
    .bytes_o(fwd_bytes_o), .tag_valid_o(fwd_tag_valid_o), .tag_o(fwd_tag_o),
    .data_o(fwd_data_o), .idle_o(rewrite_idle)
  );

  slu_host_fifo #(.Port(Port), .BeatBits(HostStoreBits)) u_host (
    .clk_i, .rst_ni, .enable_i(port_enable_i), .vlan_strip_i,
    .beat_i(beat), .first_i(first), .last_i(last), .verdict_i(verdict), .meta_i(meta), .data_i(data),
    .valid_o(hrx_valid_o), .ready_i(hrx_ready_i), .data_o(hrx_data_o), .bytes_o(hrx_bytes_o),
    .last_o(hrx_last_o), .meta_o(hrx_meta_o),
    .taken_o(taken), .full_o(host_full), .off_o(host_off), .idle_o(host_idle)
  );

  // Reasons are counted when the verdict falls, also of frames that then find no room: TO_HOST + HOST_FIFO_DROP + HOST_OFF_DROP
  // is the sum of the three reasons.
  slu_port_stats u_stats (
    .clk_i(clk_stats_i), .rst_ni,
    .rx_i(frame), .rx_bytes_i(wire_len), .rx_err_i(drop_err), .rx_runt_i(drop_runt), .rx_giant_i(drop_giant),
    .rx_full_i(drop_full),
    .verdict_i(beat && first), .hit_i(verdict.fwd), .host_i(verdict.host), .reason_i(verdict.reason),
    .hit_bytes_i(24'(meta.len) + (meta.has_tag ? 24'd4 : 24'd0)), .tag_false_i(tag_false),
    .host_taken_i(taken), .host_full_i(host_full), .host_off_i(host_off),
    .tx_i(tx_frame_i), .tx_bytes_i, .tx_host_i(tx_from_host_i),
    .idx_i(pstat_idx_i), .value_o(pstat_value_o)
  );
  // Idle after three quiet clocks: while nothing moves and nothing comes in, nothing starts to move. A count, because the
  // simulation looks at the rest of the condition only when the first is false.
  logic [1:0] quiet_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || rx_valid_i || head_valid_i || s_valid) quiet_q <= 2'd0;
    else if (!(strip_idle && store_idle && decide_idle && rewrite_idle && host_idle)) quiet_q <= 2'd0;
    else if (quiet_q != 2'd3) quiet_q <= quiet_q + 2'd1;
  end
  assign idle_o = quiet_q == 2'd3;
endmodule
