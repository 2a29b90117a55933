// Takes one 802.1Q tag off a frame, so that the headers behind it stand at fixed offsets.
//
// No back-pressure. A frame may leave with one beat less than it came with. Only TPID 0x8100 is taken off. The wire may pause
// within a frame. The last four bytes of a beat come apart (tail_o), because those of a tagged frame are the next beat's first.
module slu_vlan_strip (
  input  logic         clk_i,
  input  logic         rst_ni,
  // Wire.
  input  logic         rx_valid_i,
  input  logic [511:0] rx_data_i,
  input  logic [63:0]  rx_keep_i,
  input  logic         rx_last_i,
  input  logic         rx_err_i,
  // To slu_parser and slu_frame_store; tagged and tci are constant for a frame, err comes with last.
  output logic         valid_o,
  output logic [479:0] data_o,
  output logic [31:0]  tail_o,
  output logic [6:0]   bytes_o,
  output logic         first_o,
  output logic         last_o,
  output logic         err_o,
  output logic         tagged_o,
  output logic [15:0]  tci_o,
  output logic         idle_o
);
  // Input register.
  logic         in_valid_q, in_last_q, in_err_q, in_frame_q;  // in_frame_q: the wire is within a frame
  logic [511:0] in_q;
  logic [6:0]   in_bytes_q;

  // Held beat. Of a tagged frame it lacks its last four bytes until the next beat comes.
  logic         valid_q, first_q, last_q, err_q, tagged_q, has_tag;
  logic [479:0] data_q;
  logic [31:0]  tail_q;
  logic [6:0]   bytes_q;
  logic [15:0]  tci_q;

  // The last beat of a tagged frame that fits into the held one.
  logic join_last;
  assign join_last = in_valid_q && in_frame_q && tagged_q && in_last_q && in_bytes_q <= 7'd4;
  assign has_tag   = in_frame_q ? tagged_q : in_q[111:96] == 16'h0081 && in_bytes_q >= 7'd16;

  assign valid_o  = valid_q && (!tagged_q || last_q || in_valid_q);
  assign data_o   = data_q;
  assign tail_o   = (tagged_q && !last_q) ? in_q[31:0] : tail_q;
  assign bytes_o  = join_last ? 7'd60 + in_bytes_q : bytes_q;
  assign first_o  = first_q;
  assign last_o   = last_q || join_last;
  assign err_o    = join_last ? in_err_q : err_q;
  assign tagged_o = tagged_q;
  assign tci_o    = tci_q;
  assign idle_o   = !in_valid_q && !valid_q && !in_frame_q;

  always_ff @(posedge clk_i) begin
    if (rx_valid_i) begin
      in_q       <= rx_data_i;
      in_bytes_q <= 7'($countones(rx_keep_i));
      in_last_q  <= rx_last_i;
      in_err_q   <= rx_err_i;
    end
    if (!rst_ni) begin
      in_valid_q <= 1'b0;
      in_frame_q <= 1'b0;
      valid_q    <= 1'b0;
      tagged_q   <= 1'b0;
      last_q     <= 1'b0;
    end else begin
      in_valid_q <= rx_valid_i;
      if (valid_o) valid_q <= 1'b0;
      if (in_valid_q) begin
        in_frame_q <= !in_last_q;
        if (!join_last) begin
          valid_q  <= 1'b1;
          first_q  <= !in_frame_q;
          last_q   <= in_last_q;
          err_q    <= in_last_q && in_err_q;
          tagged_q <= has_tag;
          bytes_q  <= !in_last_q ? 7'd64 : has_tag ? in_bytes_q - 7'd4 : in_bytes_q;
          if (!in_frame_q) tci_q <= {in_q[119:112], in_q[127:120]};
          if (!has_tag) begin
            data_q <= in_q[479:0];
            tail_q <= in_q[511:480];
          end else begin
            data_q <= in_frame_q ? in_q[511:32] : {in_q[511:128], in_q[95:0]};
            tail_q <= 32'd0;
          end
        end
      end
    end
  end
endmodule
