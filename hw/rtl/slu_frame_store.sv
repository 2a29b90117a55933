// Packet store of a port: whole frames in RAM until their lookup is answered, with a table of what the parser said.
//
// Writes a beat a clock. A frame is committed by its last beat, or rolled back and counted: wire error, runt, giant, store full.
// Three pointers walk the frame table: head (parsed), issue (lookup begun), tail (verdict begun). The data of frames whose verdict
// began is read in the same order, a beat a clock, and freed.
module slu_frame_store #(
  parameter int unsigned StoreBits = 10
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  // From slu_vlan_strip.
  input  logic         valid_i,
  input  logic [479:0] data_i,
  input  logic [31:0]  tail_i,
  input  logic [6:0]   bytes_i,
  input  logic         first_i,
  input  logic         last_i,
  input  logic         err_i,
  input  logic         tagged_i,
  // slu_parser.
  output logic         commit_o,
  output logic [13:0]  len_o,
  input  slu_pkg::key_t        key_i,
  input  logic                 meta_valid_i,
  input  slu_pkg::frame_meta_t meta_i,
  // Lookup: oldest frame not yet issued; its key one clock after issue_i.
  output logic         req_o,
  input  logic         issue_i,
  output logic [slu_pkg::KeyBits-1:0] issue_key_o,
  output logic         issue_need_o,
  output logic         issue_is6_o,
  // Verdict: oldest issued frame; key and meta one clock after pop_i.
  output logic [7:0]   beats_o,
  input  logic         pop_i,
  output logic [slu_pkg::KeyBits-1:0] key_o,
  output slu_pkg::frame_meta_t meta_o,
  // Data, one clock after read_i.
  input  logic         read_i,
  output logic [511:0] data_o,
  // Statistics, pulses. RX_* of a frame come one clock after its last beat; wire_len_o goes with frame_o.
  output logic         frame_o,
  output logic [23:0]  wire_len_o,
  output logic         drop_err_o,
  output logic         drop_runt_o,
  output logic         drop_giant_o,
  output logic         drop_full_o,
  output logic         idle_o
);
  localparam int unsigned Depth = 1 << StoreBits;
  localparam logic [23:0] FrameMin = 24'(slu_regs_pkg::FRAME_MIN_BYTES);
  localparam logic [23:0] FrameMax = 24'(slu_regs_pkg::FRAME_MAX_BYTES);

  logic [511:0] data_mem [Depth];
  logic [slu_pkg::KeyBits-1:0] key_mem [Depth];
  logic [slu_pkg::FrameMetaBits-1:0] meta_mem [Depth];
  logic [7:0] beats_mem [Depth];
  logic [1:0] kind_mem [Depth];

  // Beats: write (speculative), start of the frame being written, read.
  logic [StoreBits:0] wr_q, start_q, rd_q, wr;
  logic               overflow_q, giant_q;
  logic [23:0]        len_q, len, wire_len;
  logic               full, giant;

  logic               end_q, end_err_q, end_full_q, end_giant_q, end_runt_q;
  logic [23:0]        end_wire_len_q;
  logic [13:0]        end_len_q;
  logic               drop;

  // A dropped frame gives its beats back in the clock after its last one; the next frame may be there already.
  assign drop     = end_q && !commit_o;
  assign wr       = drop ? start_q : wr_q;
  assign full     = wr[StoreBits-1:0] == rd_q[StoreBits-1:0] && wr[StoreBits] != rd_q[StoreBits];
  assign len      = (first_i ? 24'd0 : len_q) + 24'(bytes_i);
  assign wire_len = len + (tagged_i ? 24'd4 : 24'd0);
  assign giant    = wire_len > FrameMax || (giant_q && !first_i);

  assign commit_o     = end_q && !end_err_q && !end_full_q && !end_giant_q && !end_runt_q;
  assign len_o        = end_len_q;
  assign frame_o      = end_q;
  assign wire_len_o   = end_wire_len_q;
  assign drop_err_o   = end_q && end_err_q;
  assign drop_runt_o  = end_q && !end_err_q && end_runt_q;
  assign drop_giant_o = end_q && !end_err_q && end_giant_q;
  assign drop_full_o  = end_q && !end_err_q && !end_runt_q && !end_giant_q && end_full_q;

  // Frames: commit (fields still in the parser), head, issue, tail.
  logic [StoreBits:0] commit_q, head_q, issue_q, tail_q;

  assign req_o   = issue_q != head_q;
  assign beats_o = beats_mem[tail_q[StoreBits-1:0]];
  assign idle_o  = !valid_i && !end_q && wr_q == rd_q && commit_q == tail_q;

  always_ff @(posedge clk_i) begin
    if (valid_i && !full && !giant) data_mem[wr[StoreBits-1:0]] <= {tail_i, data_i};
    if (commit_o) begin
      key_mem[commit_q[StoreBits-1:0]]   <= key_i;
      beats_mem[commit_q[StoreBits-1:0]] <= 8'((end_len_q + 14'd63) >> 6);
    end
    if (meta_valid_i) begin
      meta_mem[head_q[StoreBits-1:0]] <= meta_i;
      kind_mem[head_q[StoreBits-1:0]] <= {meta_i.reason == slu_regs_pkg::REASON_NONE, meta_i.is6};
    end
    if (issue_i) begin
      issue_key_o <= key_mem[issue_q[StoreBits-1:0]];
      {issue_need_o, issue_is6_o} <= kind_mem[issue_q[StoreBits-1:0]];
    end
    if (pop_i) begin
      key_o  <= key_mem[tail_q[StoreBits-1:0]];
      meta_o <= meta_mem[tail_q[StoreBits-1:0]];
    end
    if (read_i) data_o <= data_mem[rd_q[StoreBits-1:0]];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      wr_q       <= '0;
      start_q    <= '0;
      rd_q       <= '0;
      commit_q   <= '0;
      head_q     <= '0;
      issue_q    <= '0;
      tail_q     <= '0;
      end_q      <= 1'b0;
      overflow_q <= 1'b0;
      giant_q    <= 1'b0;
      len_q      <= 24'd0;
    end else begin
      end_q <= valid_i && last_i;
      if (drop) wr_q <= start_q;
      else if (commit_o) start_q <= wr_q;
      if (valid_i) begin
        if (!full && !giant) wr_q <= wr + 1'b1;
        len_q      <= len;
        giant_q    <= giant && !last_i;
        overflow_q <= !last_i && ((overflow_q && !first_i) || (full && !giant));
        if (last_i) begin
          end_err_q      <= err_i;
          end_full_q     <= (overflow_q && !first_i) || full;
          end_giant_q    <= giant;
          end_runt_q     <= wire_len < FrameMin;
          end_wire_len_q <= wire_len;
          end_len_q      <= len[13:0];
        end
      end
      if (commit_o) commit_q <= commit_q + 1'b1;
      if (meta_valid_i) head_q <= head_q + 1'b1;
      if (issue_i) issue_q <= issue_q + 1'b1;
      if (pop_i) tail_q <= tail_q + 1'b1;
      if (read_i) rd_q <= rd_q + 1'b1;
    end
  end
endmodule
