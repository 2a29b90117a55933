// Frames of a port on their way to the host interface, with what is known about them.
//
// Takes every beat that comes; a frame for which there is no room is dropped whole, so hits behind it never wait.
module slu_host_fifo #(
  parameter int unsigned Port      = 0,
  parameter int unsigned BeatBits  = 11,
  parameter int unsigned FrameBits = 9
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 enable_i,
  input  logic                 vlan_strip_i,
  // slu_decide and slu_frame_store.
  input  logic                 beat_i,
  input  logic                 first_i,
  input  logic                 last_i,
  input  slu_pkg::verdict_t    verdict_i,
  input  slu_pkg::frame_meta_t meta_i,
  input  logic [511:0]         data_i,
  // Host interface.
  output logic                 valid_o,
  input  logic                 ready_i,
  output logic [511:0]         data_o,
  output logic [6:0]           bytes_o,
  output logic                 last_o,
  output slu_pkg::rx_meta_t    meta_o,
  // Statistics, pulses.
  output logic                 taken_o,
  output logic                 full_o,
  output logic                 off_o,
  output logic                 idle_o
);
  logic [511:0] data_mem [1 << BeatBits];
  logic [slu_pkg::RxMetaBits-1:0] meta_mem [1 << FrameBits];

  logic [BeatBits:0]  wr_q, rd_q, used;
  logic [FrameBits:0] frame_wr_q, frame_rd_q, frames;
  logic               start, fits, accept, accept_q;
  logic [7:0]         beats;
  assign start  = beat_i && first_i && verdict_i.host;
  assign used   = wr_q - rd_q;
  assign frames = frame_wr_q - frame_rd_q;
  assign beats  = 8'((meta_i.len + 14'd63) >> 6);
  assign fits   = used + (BeatBits+1)'(beats) <= (BeatBits+1)'(1 << BeatBits) && !frames[FrameBits];
  assign accept = first_i ? fits && enable_i : accept_q;

  // RSS tuple and metadata from the first beat; the tag is handled when the frame is read.
  logic l4;
  assign l4 = meta_i.tcp || meta_i.udp;

`ifndef SYNTHESIS
  initial begin
    assert (slu_regs_pkg::RXF_MARK == 10 && slu_regs_pkg::RXF_FLOW == 9 && slu_regs_pkg::RXF_FRAGMENT == 8 &&
            slu_regs_pkg::RXF_UDP == 7 && slu_regs_pkg::RXF_TCP == 6 && slu_regs_pkg::RXF_IPV6 == 5 &&
            slu_regs_pkg::RXF_IPV4 == 4 && slu_regs_pkg::RXF_L3_BAD == 3 && slu_regs_pkg::RXF_L3_GOOD == 2 &&
            slu_regs_pkg::RXF_VLAN_STRIPPED == 1 && slu_regs_pkg::RXF_VLAN == 0);
  end
`endif

  logic push;
  assign push = beat_i && verdict_i.host && accept;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q       <= '0;
      frame_wr_q <= '0;
      accept_q   <= 1'b0;
      taken_o    <= 1'b0;
      full_o     <= 1'b0;
      off_o      <= 1'b0;
    end else begin
      if (beat_i) accept_q <= accept;
      if (push) wr_q <= wr_q + 1'b1;
      if (push && last_i) frame_wr_q <= frame_wr_q + 1'b1;
      taken_o <= start && enable_i && fits;
      full_o  <= start && enable_i && !fits;
      off_o   <= start && !enable_i;
    end
    if (push) data_mem[wr_q[BeatBits-1:0]] <= data_i;
    if (push && first_i) begin
      // In the order of slu_pkg::rx_meta_t.
      meta_mem[frame_wr_q[FrameBits-1:0]] <= {
        meta_i.time_us,
        !l4 ? 16'd0 : meta_i.is6 ? data_i[463:448] : data_i[303:288],
        !l4 ? 16'd0 : meta_i.is6 ? data_i[447:432] : data_i[287:272],
        meta_i.is6 ? data_i[431:304] : meta_i.is4 ? {96'd0, data_i[271:240]} : 128'd0,
        meta_i.is6 ? data_i[303:176] : meta_i.is4 ? {96'd0, data_i[239:208]} : 128'd0,
        verdict_i.queue, verdict_i.mark_valid ? verdict_i.mark : 32'd0, verdict_i.flow_valid ? verdict_i.flow_id : 32'd0,
        meta_i.proto, meta_i.tcp_flags,
        !l4 ? 8'd0 : meta_i.is6 ? 8'd54 : 8'd34, (meta_i.is4 || meta_i.is6) ? 8'd14 : 8'd0,
        meta_i.tci,
        // RXF_MARK down to RXF_VLAN (checked below).
        5'd0, verdict_i.mark_valid, verdict_i.flow_valid, meta_i.frag, meta_i.udp, meta_i.tcp, meta_i.is6, meta_i.is4,
        meta_i.l3_bad, meta_i.l3_good, 1'b0, meta_i.has_tag,
        8'(Port), verdict_i.reason, {2'd0, meta_i.len}};
    end
  end

  // Reader: a frame at a time. First its metadata, then the same with the tag's part, then the data; the metadata stay until the
  // last beat is taken.
  slu_pkg::rx_meta_t raw_q;
  logic              load_q, active_q, valid_q, first_q, last_q, tag_q, ins_ready;
  logic [511:0]      data_q;
  logic [6:0]        bytes_q;
  logic [15:0]       left_q;  // bytes not yet read
  logic              load, read, end_of_frame, was_tagged, put_tag;
  assign load = !active_q && frame_wr_q != frame_rd_q;
  assign read = active_q && left_q != 16'd0 && (!valid_q || ins_ready);
  assign end_of_frame = valid_o && ready_i && last_o;
  assign was_tagged   = raw_q.flags[slu_regs_pkg::RXF_VLAN];
  assign put_tag      = was_tagged && !vlan_strip_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      active_q   <= 1'b0;
      load_q     <= 1'b0;
      valid_q    <= 1'b0;
      left_q     <= 16'd0;
      rd_q       <= '0;
      frame_rd_q <= '0;
    end else begin
      load_q <= load;
      if (load) active_q <= 1'b1;
      else if (end_of_frame) active_q <= 1'b0;
      if (end_of_frame) frame_rd_q <= frame_rd_q + 1'b1;
      if (read) rd_q <= rd_q + 1'b1;
      if (load_q) left_q <= raw_q.len;
      else if (read) left_q <= left_q <= 16'd64 ? 16'd0 : left_q - 16'd64;
      if (!valid_q || ins_ready) valid_q <= read;
    end
    if (load) raw_q <= meta_mem[frame_rd_q[FrameBits-1:0]];
    if (load_q) begin
      // In the order of slu_pkg::rx_meta_t: what the tag in the buffer shifts, and whether it is there.
      tag_q  <= put_tag;
      meta_o <= {raw_q.time_us, raw_q.dport, raw_q.sport, raw_q.dst, raw_q.src, raw_q.queue, raw_q.mark, raw_q.flow_id,
                 raw_q.proto, raw_q.tcp_flags,
                 (put_tag && raw_q.l4_off != 8'd0) ? raw_q.l4_off + 8'd4 : raw_q.l4_off,
                 (put_tag && raw_q.l3_off != 8'd0) ? raw_q.l3_off + 8'd4 : raw_q.l3_off,
                 raw_q.vlan_tci,
                 (was_tagged && !put_tag) ? raw_q.flags | 16'd1 << slu_regs_pkg::RXF_VLAN_STRIPPED : raw_q.flags,
                 raw_q.port, raw_q.reason, put_tag ? raw_q.len + 16'd4 : raw_q.len};
    end
    if (read) begin
      data_q  <= data_mem[rd_q[BeatBits-1:0]];
      first_q <= left_q == raw_q.len;
      last_q  <= left_q <= 16'd64;
      bytes_q <= left_q <= 16'd64 ? left_q[6:0] : 7'd64;
    end
  end

  slu_vlan_insert u_insert (
    .clk_i, .rst_ni,
    .valid_i(valid_q), .ready_o(ins_ready), .data_i(data_q), .bytes_i(bytes_q), .first_i(first_q), .last_i(last_q),
    .tag_valid_i(tag_q), .tag_i(raw_q.vlan_tci),
    .valid_o, .ready_i, .data_o, .bytes_o, .last_o
  );
  assign idle_o = frame_wr_q == frame_rd_q && wr_q == rd_q && !active_q && !taken_o && !full_o && !off_o;
endmodule
