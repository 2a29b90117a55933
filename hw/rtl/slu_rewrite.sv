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
        beat_q <= {data_i[511:416],
                   meta_i.tcp ? verdict_i.l4_csum : data_i[415:400], data_i[399:336],
                   meta_i.tcp ? data_i[335:320] : verdict_i.l4_csum, data_i[319:304],
                   verdict_i.set_dport ? verdict_i.dport : data_i[303:288],
                   verdict_i.set_sport ? verdict_i.sport : data_i[287:272],
                   verdict_i.set_dst ? verdict_i.dst[31:0] : data_i[271:240],
                   verdict_i.set_src ? verdict_i.src[31:0] : data_i[239:208],
                   verdict_i.l3_csum, data_i[191:184], verdict_i.ttl, data_i[175:96],
                   verdict_i.set_smac ? verdict_i.smac : data_i[95:48],
                   verdict_i.set_dmac ? verdict_i.dmac : data_i[47:0]};
      else if (first_i)
        beat_q <= {data_i[511:496],
                   meta_i.udp ? verdict_i.l4_csum : data_i[495:480], data_i[479:464],
                   verdict_i.set_dport ? verdict_i.dport : data_i[463:448],
                   verdict_i.set_sport ? verdict_i.sport : data_i[447:432],
                   verdict_i.set_dst ? verdict_i.dst : data_i[431:304],
                   verdict_i.set_src ? verdict_i.src : data_i[303:176],
                   verdict_i.ttl, data_i[167:96],
                   verdict_i.set_smac ? verdict_i.smac : data_i[95:48],
                   verdict_i.set_dmac ? verdict_i.dmac : data_i[47:0]};
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
