// Puts an 802.1Q tag into a frame, behind the MAC addresses; or lets it pass. A frame may leave with one beat more.
//
// PadToMin: a frame that is shorter than 60 bytes because its tag was taken off gets zeros up to there.
module slu_vlan_insert #(
  parameter bit PadToMin = 1'b0
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         valid_i,
  output logic         ready_o,
  input  logic [511:0] data_i,
  input  logic [6:0]   bytes_i,
  input  logic         first_i,
  input  logic         last_i,
  input  logic         tag_valid_i,  // constant for all beats of a frame, as is tag_i
  input  logic [15:0]  tag_i,        // as a number
  output logic         valid_o,
  input  logic         ready_i,
  output logic [511:0] data_o,
  output logic [6:0]   bytes_o,
  output logic         last_o
);
  logic        free, rest_q;
  logic [31:0] carry_q;
  logic [6:0]  rest_bytes_q;
  logic [31:0] pad;

  assign free    = !valid_o || ready_i;
  assign ready_o = free && !rest_q;
  // Only the last four of the 60 bytes can be missing: no frame on a wire is shorter than 60 with its tag.
  assign pad = {bytes_i > 7'd59 ? data_i[479:472] : 8'd0, bytes_i > 7'd58 ? data_i[471:464] : 8'd0,
                bytes_i > 7'd57 ? data_i[463:456] : 8'd0, bytes_i > 7'd56 ? data_i[455:448] : 8'd0};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_o <= 1'b0;
      rest_q  <= 1'b0;
    end else if (free) begin
      valid_o <= rest_q || valid_i;
      if (rest_q) rest_q <= 1'b0;
      else rest_q <= valid_i && tag_valid_i && last_i && bytes_i > 7'd60;
    end
    if (free && rest_q) begin
      data_o  <= {480'd0, carry_q};
      bytes_o <= rest_bytes_q;
      last_o  <= 1'b1;
    end else if (free && valid_i) begin
      if (!tag_valid_i) begin
        if (PadToMin && first_i && last_i && bytes_i < 7'd60) begin
          data_o  <= {32'd0, pad, data_i[447:0]};
          bytes_o <= 7'd60;
        end else begin
          data_o  <= data_i;
          bytes_o <= bytes_i;
        end
        last_o <= last_i;
      end else begin
        if (first_i) data_o <= {data_i[479:96], tag_i[7:0], tag_i[15:8], 16'h0081, data_i[95:0]};
        else data_o <= {data_i[479:0], carry_q};
        carry_q      <= data_i[511:480];
        rest_bytes_q <= bytes_i - 7'd60;
        bytes_o      <= (last_i && bytes_i <= 7'd60) ? bytes_i + 7'd4 : 7'd64;
        last_o       <= last_i && bytes_i <= 7'd60;
      end
    end
  end
endmodule
