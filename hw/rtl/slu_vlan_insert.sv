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
  // The output holds up to two beats, so ready_o does not depend on ready_i.
  logic [511:0] data_mem [2];
  logic [7:0]   side_mem [2];  // last, bytes
  logic [1:0]   count_q;
  logic         wr_q, rd_q, put, pop;
  logic         rest_q;
  logic [31:0]  carry_q;
  logic [6:0]   rest_bytes_q;
  logic [31:0]  pad;

  assign ready_o = !count_q[1] && !rest_q;
  assign put     = !count_q[1] && (rest_q || valid_i);
  assign pop     = valid_o && ready_i;
  assign valid_o = count_q != 2'd0;
  assign data_o  = data_mem[rd_q];
  assign bytes_o = side_mem[rd_q][6:0];
  assign last_o  = side_mem[rd_q][7];
  // Only the last four of the 60 bytes can be missing: no frame on a wire is shorter than 60 with its tag.
  assign pad = {bytes_i > 7'd59 ? data_i[479:472] : 8'd0, bytes_i > 7'd58 ? data_i[471:464] : 8'd0,
                bytes_i > 7'd57 ? data_i[463:456] : 8'd0, bytes_i > 7'd56 ? data_i[455:448] : 8'd0};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q <= 2'd0;
      wr_q    <= 1'b0;
      rd_q    <= 1'b0;
      rest_q  <= 1'b0;
    end else begin
      if (put) wr_q <= !wr_q;
      if (pop) rd_q <= !rd_q;
      if (put != pop) count_q <= put ? count_q + 2'd1 : count_q - 2'd1;
      if (put) rest_q <= !rest_q && tag_valid_i && last_i && bytes_i > 7'd60;
    end
    if (put) begin
      if (rest_q) begin
        data_mem[wr_q] <= {480'd0, carry_q};
        side_mem[wr_q] <= {1'b1, rest_bytes_q};
      end else if (!tag_valid_i) begin
        if (PadToMin && first_i && last_i && bytes_i < 7'd60) begin
          data_mem[wr_q] <= {32'd0, pad, data_i[447:0]};
          side_mem[wr_q] <= {1'b1, 7'd60};
        end else begin
          data_mem[wr_q] <= data_i;
          side_mem[wr_q] <= {last_i, bytes_i};
        end
      end else begin
        data_mem[wr_q] <= first_i ? {data_i[479:96], tag_i[7:0], tag_i[15:8], 16'h0081, data_i[95:0]} : {data_i[479:0], carry_q};
        side_mem[wr_q] <= (last_i && bytes_i <= 7'd60) ? {1'b1, bytes_i + 7'd4} : {1'b0, 7'd64};
        carry_q        <= data_i[511:480];
        rest_bytes_q   <= bytes_i - 7'd60;
      end
    end
  end
endmodule
