// Rewrites the beats of forwarded frames and queues them for the egress ports.
//
// Everything that had to be computed stands in the verdict, so a beat is only put together here. room_o falls while there is
// still place for all beats behind slu_decide's stage 0; nothing stalls on the way.
module slu_rewrite (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  // slu_decide and slu_frame_store.
  output logic                 room_o,
  input  logic                 beat_i,
  input  logic                 first_i,
  input  logic                 last_i,
  input  slu_pkg::verdict_t    verdict_i,
  input  slu_pkg::frame_meta_t meta_i,
  input  logic [511:0]         data_i,
  // slu_egress: the port that `dest` names takes the beat.
  output logic                 valid_o,
  input  logic                 pop_i,
  output logic [7:0]           dest_o,
  output logic                 last_o,
  output logic [6:0]           bytes_o,
  output logic                 tag_valid_o,
  output logic [15:0]          tag_o,
  output logic [511:0]         data_o,
  output logic                 idle_o
);
  localparam int unsigned Bits = 6;
  localparam int unsigned Margin = 12;  // beats that may be between stage 0 and this FIFO, and a few

  logic second_q;
  always_ff @(posedge clk_i) begin
    if (beat_i) second_q <= first_i;
  end

  // Flat arguments: struct arguments are outside our subset.
  function automatic logic [511:0] head4(input logic [511:0] d, input logic set_dmac, input logic set_smac, input logic set_src,
      input logic set_dst, input logic set_sport, input logic set_dport, input logic tcp, input logic [47:0] dmac,
      input logic [47:0] smac, input logic [31:0] src, input logic [31:0] dst, input logic [15:0] sport, input logic [15:0] dport,
      input logic [7:0] ttl, input logic [15:0] l3_csum, input logic [15:0] l4_csum);
    head4 = {d[511:416], tcp ? l4_csum : d[415:400], d[399:336], tcp ? d[335:320] : l4_csum, d[319:304],
             set_dport ? dport : d[303:288], set_sport ? sport : d[287:272], set_dst ? dst : d[271:240],
             set_src ? src : d[239:208], l3_csum, d[191:184], ttl, d[175:96], set_smac ? smac : d[95:48],
             set_dmac ? dmac : d[47:0]};
  endfunction

  function automatic logic [511:0] head6(input logic [511:0] d, input logic set_dmac, input logic set_smac, input logic set_src,
      input logic set_dst, input logic set_sport, input logic set_dport, input logic udp, input logic [47:0] dmac,
      input logic [47:0] smac, input logic [127:0] src, input logic [127:0] dst, input logic [15:0] sport,
      input logic [15:0] dport, input logic [7:0] ttl, input logic [15:0] l4_csum);
    head6 = {d[511:496], udp ? l4_csum : d[495:480], d[479:464], set_dport ? dport : d[463:448], set_sport ? sport : d[447:432],
             set_dst ? dst : d[431:304], set_src ? src : d[303:176], ttl, d[167:96], set_smac ? smac : d[95:48],
             set_dmac ? dmac : d[47:0]};
  endfunction

  logic         push_q, push;
  logic [511:0] beat_q;
  logic [32:0]  side_q;
  assign push = beat_i && verdict_i.fwd;
  always_ff @(posedge clk_i) begin
    push_q <= rst_ni && push;
    if (push) begin
      side_q <= {verdict_i.tag, verdict_i.tag_valid, verdict_i.dest, last_i,
                 (!last_i || meta_i.len[5:0] == 6'd0) ? 7'd64 : {1'b0, meta_i.len[5:0]}};
      if (first_i && meta_i.is4)
        beat_q <= head4(data_i, verdict_i.set_dmac, verdict_i.set_smac, verdict_i.set_src, verdict_i.set_dst,
                        verdict_i.set_sport, verdict_i.set_dport, meta_i.tcp, verdict_i.dmac, verdict_i.smac,
                        verdict_i.src[31:0], verdict_i.dst[31:0], verdict_i.sport, verdict_i.dport, verdict_i.ttl,
                        verdict_i.l3_csum, verdict_i.l4_csum);
      else if (first_i)
        beat_q <= head6(data_i, verdict_i.set_dmac, verdict_i.set_smac, verdict_i.set_src, verdict_i.set_dst,
                        verdict_i.set_sport, verdict_i.set_dport, meta_i.udp, verdict_i.dmac, verdict_i.smac, verdict_i.src,
                        verdict_i.dst, verdict_i.sport, verdict_i.dport, verdict_i.ttl, verdict_i.l4_csum);
      else if (second_q && meta_i.is6 && meta_i.tcp)
        beat_q <= {data_i[511:64], verdict_i.l4_csum, data_i[47:0]};
      else
        beat_q <= data_i;
    end
  end

  logic [511:0]  data_mem [1 << Bits];
  logic [32:0]   side_mem [1 << Bits];
  logic [Bits:0] wr_q, rd_q, count;
  logic          valid_q, take;
  logic [511:0]  data_q;
  logic [32:0]   out_q;
  assign count = wr_q - rd_q;
  assign take  = (!valid_q || pop_i) && wr_q != rd_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q    <= '0;
      rd_q    <= '0;
      valid_q <= 1'b0;
      room_o  <= 1'b0;
    end else begin
      if (push_q) wr_q <= wr_q + 1'b1;
      if (take) rd_q <= rd_q + 1'b1;
      if (!valid_q || pop_i) valid_q <= take;
      room_o <= count < (Bits+1)'((1 << Bits) - Margin);
    end
    if (push_q) begin
      data_mem[wr_q[Bits-1:0]] <= beat_q;
      side_mem[wr_q[Bits-1:0]] <= side_q;
    end
    if (take) begin
      data_q <= data_mem[rd_q[Bits-1:0]];
      out_q  <= side_mem[rd_q[Bits-1:0]];
    end
  end
  assign valid_o     = valid_q;
  assign data_o      = data_q;
  assign tag_o       = out_q[32:17];
  assign tag_valid_o = out_q[16];
  assign dest_o      = out_q[15:8];
  assign last_o      = out_q[7];
  assign bytes_o     = out_q[6:0];
  assign idle_o      = !push_q && !valid_q && wr_q == rd_q;
endmodule
