// Counts lookups in flight, one count for each value of the epoch bit that every lookup carries, so that a FENCE can tell when
// none of those that began before it is left, however long the record memory takes. A fixed drain time would be wrong.
//
// fence_i flips the epoch; fence_done_o is high for one clock when the old epoch is empty. No fence while one is running.
// Proof: hw/formal/make_before_break.sv.
module slu_epoch #(
  parameter int unsigned CountBits = 12
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic issue_i,   // a lookup begins, with epoch_o
  output logic epoch_o,
  input  logic retire_i,  // a lookup of epoch retire_epoch_i has ended, its counter update included
  input  logic retire_epoch_i,
  input  logic fence_i,
  output logic fence_done_o,
`ifdef FORMAL
  output logic [CountBits-1:0] count0_o,
  output logic [CountBits-1:0] count1_o,
`endif
  output logic empty_o    // no lookup in flight
);
  logic [CountBits-1:0] count0_q, count1_q;
  logic epoch_q, busy_q;
  logic up0, up1, down0, down1;

`ifdef FORMAL
  assign count0_o = count0_q;
  assign count1_o = count1_q;
`endif
  assign epoch_o = epoch_q;
  assign up0     = issue_i && !epoch_q;
  assign up1     = issue_i && epoch_q;
  assign down0   = retire_i && !retire_epoch_i;
  assign down1   = retire_i && retire_epoch_i;
  // Issues of the clock of the flip carry the old epoch and are in its count one clock later, when this is looked at first.
  assign fence_done_o = busy_q && (epoch_q ? count0_q == '0 : count1_q == '0);
  assign empty_o      = count0_q == '0 && count1_q == '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count0_q <= '0;
      count1_q <= '0;
      epoch_q  <= 1'b0;
      busy_q   <= 1'b0;
    end else begin
      if (up0 != down0) count0_q <= up0 ? count0_q + 1'b1 : count0_q - 1'b1;
      if (up1 != down1) count1_q <= up1 ? count1_q + 1'b1 : count1_q - 1'b1;
      if (fence_i) begin
        epoch_q <= !epoch_q;
        busy_q  <= 1'b1;
      end else if (fence_done_o) begin
        busy_q <= 1'b0;
      end
    end
  end
endmodule
