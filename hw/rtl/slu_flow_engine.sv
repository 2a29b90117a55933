// Flow engine: wires in, flow table, rewrite, wires out; what it does not know goes to the host interface.
//
// Flat vectors: port p is slice [p*W +: W]. Frame streams: valid, ready, data, bytes (1..64 valid in this beat), last.
module slu_flow_engine #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned BucketBits    = 17,
  parameter int unsigned NextHopBits   = 12,
  parameter int unsigned StoreBits     = 10,  // log2 of 64-byte beats of a port's packet store
  parameter int unsigned HostStoreBits = 11   // log2 of 64-byte beats of a port's host FIFO
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      flow_rst_i,  // pulse: as TBL_FLOW_RESET, without tbl_done_o
  input  logic [63:0]               time_us_i,

  // Wires. RX has no back-pressure; err with last.
  input  logic [NumPorts-1:0]       rx_valid_i,
  input  logic [NumPorts*512-1:0]   rx_data_i,
  input  logic [NumPorts*64-1:0]    rx_keep_i,
  input  logic [NumPorts-1:0]       rx_last_i,
  input  logic [NumPorts-1:0]       rx_err_i,
  output logic [NumPorts-1:0]       tx_valid_o,
  input  logic [NumPorts-1:0]       tx_ready_i,
  output logic [NumPorts*512-1:0]   tx_data_o,
  output logic [NumPorts*64-1:0]    tx_keep_o,
  output logic [NumPorts-1:0]       tx_last_o,

  // Configuration.
  input  logic                      lookup_enable_i,
  input  logic [14*32-1:0]          hash_key_i,
  input  logic [NumPorts*48-1:0]    port_mac_i,
  input  logic [NumPorts-1:0]       port_enable_i,  // deliver to the host
  input  logic [NumPorts-1:0]       vlan_strip_i,   // leave the tag out of what the host gets

  // Frames to the host interface; meta is constant for all beats of a frame.
  output logic [NumPorts-1:0]       hrx_valid_o,
  input  logic [NumPorts-1:0]       hrx_ready_i,
  output logic [NumPorts*512-1:0]   hrx_data_o,
  output logic [NumPorts*7-1:0]     hrx_bytes_o,
  output logic [NumPorts-1:0]       hrx_last_o,
  output logic [NumPorts*slu_pkg::RxMetaBits-1:0] hrx_meta_o,  // NumPorts times slu_pkg::rx_meta_t

  // Frames from the host interface, as they go on that wire. Once valid, no gap within a frame is needed or forbidden.
  input  logic [NumPorts-1:0]       htx_valid_i,
  output logic [NumPorts-1:0]       htx_ready_o,
  input  logic [NumPorts*512-1:0]   htx_data_i,
  input  logic [NumPorts*7-1:0]     htx_bytes_i,
  input  logic [NumPorts-1:0]       htx_last_i,

  // Table port.
  input  logic                      tbl_valid_i,
  output logic                      tbl_ready_o,
  input  logic [2:0]                tbl_op_i,  // slu_pkg::tbl_op_e
  input  logic [31:0]               tbl_slot_i,
  input  logic [16:0]               tbl_tag_i,
  input  logic [255:0]              tbl_nh_i,
  output logic                      tbl_done_o,
  output logic                      tbl_err_o,    // with done: READ_RECORD, the memory answered with an error
  output logic [1023:0]             tbl_rdata_o,  // with done

  // Record memory, reads. 128 bytes a slot; arlen 0 (IPv4) or 1 (IPv6, READ_RECORD).
  output logic                      m_rec_arvalid_o,
  input  logic                      m_rec_arready_i,
  output logic [31:0]               m_rec_araddr_o,
  output logic [9:0]                m_rec_arid_o,
  output logic [7:0]                m_rec_arlen_o,
  input  logic                      m_rec_rvalid_i,
  output logic                      m_rec_rready_o,
  input  logic [511:0]              m_rec_rdata_i,
  input  logic [9:0]                m_rec_rid_i,
  input  logic [1:0]                m_rec_rresp_i,
  input  logic                      m_rec_rlast_i,
  output logic                      rec_error_o,  // pulse: an error response to a lookup's read

  // Flow statistics updates.
  output logic                      fst_valid_o,
  input  logic                      fst_ready_i,
  output logic [31:0]               fst_flow_id_o,
  output logic [15:0]               fst_bytes_o,
  output logic                      fst_count_o,  // 0: only last_seen

  // Port statistics of this engine (all but RX_NO_DESC, RX_TOO_LONG, TX_BAD_DESC, which read 0 here; HOST_OFF_DROP counts
  // frames of disabled ports only); the value follows one clock after port and index.
  input  logic [7:0]                pstat_port_i,
  input  logic [4:0]                pstat_idx_i,
  output logic [63:0]               pstat_value_o,

  output logic [31:0]               tags_valid_o,
  output logic                      busy_o,  // tags are being cleared: after reset or FLOW_RESET
  output logic                      idle_o   // nothing in any pipeline or FIFO
);

  localparam int unsigned PortBits = NumPorts > 1 ? $clog2(NumPorts) : 1;
  localparam int unsigned RingBits = 10 - PortBits;  // AXI id = {port, ring entry}
  localparam int unsigned InfoBits = slu_pkg::RingInfoBits;

  logic [NumPorts-1:0]                  req, issue, need, is6, room, alloc, head_valid, pop, fetch_err;
  logic [NumPorts*slu_pkg::KeyBits-1:0] issue_key;
  logic [NumPorts*RingBits-1:0]         ring_idx;
  logic [NumPorts*InfoBits-1:0]         head_info;
  logic [NumPorts*512-1:0]              rec_lo, rec_hi;
  logic [NumPorts-1:0]                  nh_re, cmd, cmd_err;
  logic [NumPorts*NextHopBits-1:0]      nh_addr;
  logic [NumPorts*144-1:0]              nh_data;
  logic [NumPorts-1:0]                  ret_room, ret, ret_epoch, ret_update, ret_count;
  logic [NumPorts*32-1:0]               ret_flow_id;
  logic [NumPorts*16-1:0]               ret_bytes;
  logic [NumPorts-1:0]                  fwd_valid, fwd_last, fwd_tag_valid, fwd_pop;
  logic [NumPorts*8-1:0]                fwd_dest;
  logic [NumPorts*7-1:0]                fwd_bytes;
  logic [NumPorts*16-1:0]               fwd_tag;
  logic [NumPorts*512-1:0]              fwd_data;
  logic [NumPorts*NumPorts-1:0]         fwd_pops;  // [egress*NumPorts + ingress]
  logic [NumPorts-1:0]                  tx_frame, tx_from_host, rec_error;
  logic [NumPorts*24-1:0]               tx_bytes;
  logic [NumPorts-1:0]                  in_idle, out_idle;
  logic [NumPorts*64-1:0]               stat_value;

  // Table port and shared pipeline.
  logic                  epoch, epoch_issue, retire, retire_epoch, fence, fence_done, epoch_empty;
  logic                  tok_valid, tbl_req, tbl_grant, nh_we;
  logic [1:0]            tok_kind, tbl_kind, tag_we;
  logic [PortBits-1:0]   tok_port;
  logic [RingBits-1:0]   tok_idx;
  logic [InfoBits-1:0]   tok_info;
  logic [BucketBits+2:0] tok_slot;
  logic [143:0]          tok_words, nh_wdata;
  logic [31:0]           tbl_slot;
  logic [BucketBits-1:0] tag_wbucket;
  logic [3:0]            tag_wways;
  logic [17:0]           tag_wdata;
  logic [NextHopBits-1:0] nh_waddr;
  logic                  tbl_idle;

  for (genvar p = 0; p < NumPorts; p++) begin : g_in
    logic clk_in;
    slu_clock_gate u_gate (.clk_i, .rst_ni, .awake_i(rx_valid_i[p] || !in_idle[p] || head_valid[p]), .clk_o(clk_in));
    slu_ingress #(.NumPorts(NumPorts), .Port(p), .NextHopBits(NextHopBits), .StoreBits(StoreBits),
                  .HostStoreBits(HostStoreBits)) u_ingress (
      .clk_i(clk_in), .clk_stats_i(clk_i), .rst_ni, .time_us_i(time_us_i[31:0]),
      .port_mac_i(port_mac_i[p*48 +: 48]),
      .port_enable_i(port_enable_i[p]), .vlan_strip_i(vlan_strip_i[p]),
      .rx_valid_i(rx_valid_i[p]), .rx_data_i(rx_data_i[p*512 +: 512]), .rx_keep_i(rx_keep_i[p*64 +: 64]),
      .rx_last_i(rx_last_i[p]), .rx_err_i(rx_err_i[p]),
      .req_o(req[p]), .issue_i(issue[p]), .issue_key_o(issue_key[p*slu_pkg::KeyBits +: slu_pkg::KeyBits]),
      .issue_need_o(need[p]), .issue_is6_o(is6[p]),
      .head_valid_i(head_valid[p]), .head_info_i(head_info[p*InfoBits +: InfoBits]), .pop_o(pop[p]), .err_i(fetch_err[p]),
      .lo_i(rec_lo[p*512 +: 512]), .hi_i(rec_hi[p*512 +: 512]),
      .nh_re_o(nh_re[p]), .nh_addr_o(nh_addr[p*NextHopBits +: NextHopBits]), .nh_i(nh_data[p*144 +: 144]),
      .tbl_nh_index_i(tbl_slot[NextHopBits-1:0]), .cmd_o(cmd[p]), .cmd_err_o(cmd_err[p]),
      .retire_room_i(ret_room[p]), .retire_o(ret[p]), .retire_epoch_o(ret_epoch[p]), .retire_update_o(ret_update[p]),
      .retire_count_o(ret_count[p]), .retire_flow_id_o(ret_flow_id[p*32 +: 32]), .retire_bytes_o(ret_bytes[p*16 +: 16]),
      .fwd_valid_o(fwd_valid[p]), .fwd_pop_i(fwd_pop[p]), .fwd_dest_o(fwd_dest[p*8 +: 8]), .fwd_last_o(fwd_last[p]),
      .fwd_bytes_o(fwd_bytes[p*7 +: 7]), .fwd_tag_valid_o(fwd_tag_valid[p]), .fwd_tag_o(fwd_tag[p*16 +: 16]),
      .fwd_data_o(fwd_data[p*512 +: 512]),
      .tx_frame_i(tx_frame[p]), .tx_bytes_i(tx_bytes[p*24 +: 24]), .tx_from_host_i(tx_from_host[p]),
      .hrx_valid_o(hrx_valid_o[p]), .hrx_ready_i(hrx_ready_i[p]), .hrx_data_o(hrx_data_o[p*512 +: 512]),
      .hrx_bytes_o(hrx_bytes_o[p*7 +: 7]), .hrx_last_o(hrx_last_o[p]),
      .hrx_meta_o(hrx_meta_o[p*slu_pkg::RxMetaBits +: slu_pkg::RxMetaBits]),
      .pstat_idx_i, .pstat_value_o(stat_value[p*64 +: 64]), .rec_error_o(rec_error[p]), .idle_o(in_idle[p])
    );
  end

  logic [PortBits-1:0] stat_port_q;
  always_ff @(posedge clk_i) stat_port_q <= pstat_port_i[PortBits-1:0];
  assign pstat_value_o = stat_value[stat_port_q*64 +: 64];

  logic busy;
  assign busy_o = busy;
  slu_lookup #(.NumPorts(NumPorts), .BucketBits(BucketBits), .RingBits(RingBits), .PortBits(PortBits)) u_lookup (
    .clk_i, .rst_ni, .lookup_enable_i(lookup_enable_i && !busy), .hash_key_i,
    .req_i(req), .issue_o(issue), .key_i(issue_key), .need_i(need), .is6_i(is6),
    .epoch_issue_o(epoch_issue), .epoch_i(epoch),
    .room_i(room), .idx_i(ring_idx), .alloc_o(alloc),
    .tbl_req_i(tbl_req), .tbl_kind_i(tbl_kind), .tbl_slot_i(tbl_slot), .tbl_grant_o(tbl_grant),
    .tag_we_i(tag_we), .tag_wbucket_i(tag_wbucket), .tag_wways_i(tag_wways), .tag_wdata_i(tag_wdata),
    .tok_valid_o(tok_valid), .tok_kind_o(tok_kind), .tok_port_o(tok_port), .tok_idx_o(tok_idx), .tok_info_o(tok_info),
    .tok_slot_o(tok_slot), .tok_words_o(tok_words)
  );

  slu_record_fetch #(.NumPorts(NumPorts), .BucketBits(BucketBits), .RingBits(RingBits), .PortBits(PortBits)) u_fetch (
    .clk_i, .rst_ni,
    .room_o(room), .idx_o(ring_idx), .alloc_i(alloc),
    .tok_valid_i(tok_valid && tok_kind != slu_pkg::LookupDump), .tok_port_i(tok_port), .tok_idx_i(tok_idx),
    .tok_info_i(tok_info), .tok_slot_i(tok_slot),
    .arvalid_o(m_rec_arvalid_o), .arready_i(m_rec_arready_i), .araddr_o(m_rec_araddr_o), .arid_o(m_rec_arid_o),
    .arlen_o(m_rec_arlen_o),
    .rvalid_i(m_rec_rvalid_i), .rdata_i(m_rec_rdata_i), .rid_i(m_rec_rid_i), .rresp_i(m_rec_rresp_i), .rlast_i(m_rec_rlast_i),
    .head_valid_o(head_valid), .head_info_o(head_info), .pop_i(pop), .err_o(fetch_err), .lo_o(rec_lo), .hi_o(rec_hi)
  );
  assign m_rec_rready_o = 1'b1;
  assign rec_error_o    = |rec_error;

  slu_next_hops #(.NumPorts(NumPorts), .NextHopBits(NextHopBits)) u_next_hops (
    .clk_i, .re_i(nh_re), .raddr_i(nh_addr), .rdata_o(nh_data), .we_i(nh_we), .waddr_i(nh_waddr), .wdata_i(nh_wdata)
  );

  slu_retire #(.NumPorts(NumPorts)) u_retire (
    .clk_i, .rst_ni,
    .room_o(ret_room), .valid_i(ret), .epoch_i(ret_epoch), .update_i(ret_update), .count_i(ret_count),
    .flow_id_i(ret_flow_id), .bytes_i(ret_bytes),
    .fst_valid_o, .fst_ready_i, .fst_flow_id_o, .fst_bytes_o, .fst_count_o,
    .retire_o(retire), .retire_epoch_o(retire_epoch)
  );

  slu_epoch #(.CountBits(RingBits + PortBits + 2)) u_epoch (
    .clk_i, .rst_ni, .issue_i(epoch_issue), .epoch_o(epoch), .retire_i(retire), .retire_epoch_i(retire_epoch),
    .fence_i(fence), .fence_done_o(fence_done), .empty_o(epoch_empty)
  );

  slu_table_port #(.BucketBits(BucketBits), .NextHopBits(NextHopBits)) u_table_port (
    .clk_i, .rst_ni, .flow_rst_i,
    .valid_i(tbl_valid_i), .ready_o(tbl_ready_o), .op_i(tbl_op_i), .slot_i(tbl_slot_i), .tag_i(tbl_tag_i),
    .nh_i(tbl_nh_i[143:0]), .done_o(tbl_done_o), .err_o(tbl_err_o), .rdata_o(tbl_rdata_o), .tags_valid_o, .busy_o(busy),
    .req_o(tbl_req), .kind_o(tbl_kind), .slot_o(tbl_slot), .grant_i(tbl_grant),
    .tag_we_o(tag_we), .tag_wbucket_o(tag_wbucket), .tag_wways_o(tag_wways), .tag_wdata_o(tag_wdata),
    .dump_valid_i(tok_valid && tok_kind == slu_pkg::LookupDump), .dump_words_i(tok_words),
    .cmd_i(cmd[0]), .cmd_err_i(cmd_err[0]), .cmd_lo_i(rec_lo[511:0]), .cmd_hi_i(rec_hi[511:0]), .cmd_nh_i(nh_data[143:0]),
    .nh_we_o(nh_we), .nh_waddr_o(nh_waddr), .nh_wdata_o(nh_wdata),
    .fence_o(fence), .fence_done_i(fence_done), .idle_o(tbl_idle)
  );

  // Egress.
  for (genvar q = 0; q < NumPorts; q++) begin : g_out
    slu_egress #(.NumPorts(NumPorts), .Port(q)) u_egress (
      .clk_i, .rst_ni,
      .fwd_valid_i(fwd_valid), .fwd_pop_o(fwd_pops[q*NumPorts +: NumPorts]), .fwd_dest_i(fwd_dest), .fwd_last_i(fwd_last),
      .fwd_bytes_i(fwd_bytes), .fwd_tag_valid_i(fwd_tag_valid), .fwd_tag_i(fwd_tag), .fwd_data_i(fwd_data),
      .htx_valid_i(htx_valid_i[q]), .htx_ready_o(htx_ready_o[q]), .htx_data_i(htx_data_i[q*512 +: 512]),
      .htx_bytes_i(htx_bytes_i[q*7 +: 7]), .htx_last_i(htx_last_i[q]),
      .tx_valid_o(tx_valid_o[q]), .tx_ready_i(tx_ready_i[q]), .tx_data_o(tx_data_o[q*512 +: 512]),
      .tx_keep_o(tx_keep_o[q*64 +: 64]), .tx_last_o(tx_last_o[q]),
      .frame_o(tx_frame[q]), .bytes_o(tx_bytes[q*24 +: 24]), .from_host_o(tx_from_host[q]), .idle_o(out_idle[q])
    );
  end
  always_comb begin
    fwd_pop = '0;
    for (int q = 0; q < NumPorts; q++) fwd_pop = fwd_pop | fwd_pops[q*NumPorts +: NumPorts];
  end

  // As in slu_ingress. What is between the ports is a lookup of an epoch or a request of the table port.
  logic [1:0] quiet_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || rx_valid_i != '0 || fst_valid_o) quiet_q <= 2'd0;
    else if (!((&in_idle) && (&out_idle) && epoch_empty && tbl_idle && !flow_rst_i && htx_valid_i == '0)) quiet_q <= 2'd0;
    else if (quiet_q != 2'd3) quiet_q <= quiet_q + 2'd1;
  end
  assign idle_o = quiet_q == 2'd3;
endmodule
