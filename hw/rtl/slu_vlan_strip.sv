// Takes one 802.1Q tag off a frame, so that the headers behind it stand at fixed offsets.
//
// No back-pressure. Output is a beat behind the input; a frame may leave with one beat less than it came with.
// Only TPID 0x8100 is taken off. The wire may pause within a frame.
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
  output logic [511:0] data_o,
  output logic [6:0]   bytes_o,
  output logic         first_o,
  output logic         last_o,
  output logic         err_o,
  output logic         tagged_o,
  output logic [15:0]  tci_o,
  output logic         idle_o
);
  logic [6:0] bytes_in;
  assign bytes_in = 7'($countones(rx_keep_i));

  logic in_frame_q;  // the wire is within a frame
  logic tag_in, tag_cur;
  assign tag_in  = !in_frame_q && rx_data_i[111:96] == 16'h0081 && bytes_in >= 7'd16;
  assign tag_cur = in_frame_q ? tagged_q : tag_in;

  // Held beat. Of a tagged frame it lacks its last four bytes until the next beat comes.
  logic         valid_q, first_q, last_q, err_q, tagged_q;
  logic [511:0] data_q;
  logic [6:0]   bytes_q;
  logic [15:0]  tci_q;

  // The last beat of a tagged frame that fits into the held one.
  logic join_last;
  assign join_last = rx_valid_i && in_frame_q && tagged_q && rx_last_i && bytes_in <= 7'd4;

  assign valid_o  = valid_q && (!tagged_q || last_q || rx_valid_i);
  assign data_o   = {(tagged_q && !last_q) ? rx_data_i[31:0] : data_q[511:480], data_q[479:0]};
  assign bytes_o  = join_last ? 7'd60 + bytes_in : bytes_q;
  assign first_o  = first_q;
  assign last_o   = last_q || join_last;
  assign err_o    = join_last ? rx_err_i : err_q;
  assign tagged_o = tagged_q;
  assign tci_o    = tci_q;
  assign idle_o   = !valid_q && !in_frame_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q    <= 1'b0;
      in_frame_q <= 1'b0;
      tagged_q   <= 1'b0;
      last_q     <= 1'b0;
    end else begin
      if (valid_o) valid_q <= 1'b0;
      if (rx_valid_i) begin
        in_frame_q <= !rx_last_i;
        if (!join_last) begin
          valid_q  <= 1'b1;
          first_q  <= !in_frame_q;
          last_q   <= rx_last_i;
          err_q    <= rx_last_i && rx_err_i;
          tagged_q <= tag_cur;
          bytes_q  <= !rx_last_i ? 7'd64 : tag_cur ? bytes_in - 7'd4 : bytes_in;
          if (!in_frame_q) tci_q <= {rx_data_i[119:112], rx_data_i[127:120]};
          if (!tag_cur) data_q <= rx_data_i;
          else if (!in_frame_q) data_q <= {32'd0, rx_data_i[511:128], rx_data_i[95:0]};
          else data_q <= {32'd0, rx_data_i[511:32]};
        end
      end
    end
  end
endmodule
