// Proof of make before break: while a driver moves a flow between two slots again and again, and scribbles over the record of
// the slot that it left as soon as the FENCE says it may, every lookup finds the flow and reads the right record.
//
// The fence is the real slu_epoch. A lookup may take any time for each of its three steps (tags, record, retirement of its
// counter update), and lookups may overtake one another: nothing here knows a latency. Inputs without driver are free.
//
// Mutant 0 is the design. The others must fail: 1 drains for a fixed time instead of asking the fence, 2 retires a lookup
// before its record was read, 3 clears the old tag before it sets the new one, 4 lets the fence be done at once, 5 copies the
// record after it set the tag.
module make_before_break #(
  parameter int unsigned Mutant = 0
) (
  input logic       clk_i,
  input logic       go,              // driver: next step
  input logic       scribble,        // driver: overwrite the free slot
  input logic [1:0] value,
  input logic       issue,           // a lookup begins
  input logic       read_tags,       // lookup `tags_of` reads the tags, preferring slot `prefer`
  input logic [1:0] tags_of,
  input logic       prefer,
  input logic       read_record,
  input logic [1:0] record_of,
  input logic       retire,
  input logic [1:0] retire_of
);
  localparam logic [1:0] Good = 2'd2;
  localparam logic [1:0] Issued = 2'd1, Tagged = 2'd2, Read = 2'd3;  // 0: free

  logic started = 1'b0;
  always_ff @(posedge clk_i) started <= 1'b1;

  // Four lookups in flight at most.
  logic [1:0] state0, state1, state2, state3;
  logic [3:0] epoch, slot;
  logic [7:0] state;
  assign state = {state3, state2, state1, state0};

  logic       do_issue, do_tags, do_record, do_retire;
  logic [1:0] free_one;
  assign free_one  = state0 == 2'd0 ? 2'd0 : state1 == 2'd0 ? 2'd1 : state2 == 2'd0 ? 2'd2 : 2'd3;
  assign do_issue  = issue && (state0 == 2'd0 || state1 == 2'd0 || state2 == 2'd0 || state3 == 2'd0);
  assign do_tags   = read_tags && state[2*tags_of +: 2] == Issued;
  assign do_record = read_record && state[2*record_of +: 2] == Tagged;
  assign do_retire = retire && (Mutant == 2 ? state[2*retire_of +: 2] == Tagged : state[2*retire_of +: 2] == Read);

  // Driver. `owner` is the slot that the flow lives in; the other is free in state 0.
  logic [2:0] step;
  logic       owner;
  logic [1:0] tags;
  logic [1:0] record0, record1;
  logic [2:0] drain;
  logic       epoch_now, fence, fence_done, may_reuse, unused_empty;
  logic [2:0] count0, count1;
  assign fence     = step == 3'd3;
  assign may_reuse = Mutant == 1 ? drain == 3'd5 : Mutant == 4 ? 1'b1 : fence_done;

  slu_epoch #(.CountBits(3)) u_epoch (
    .clk_i, .rst_ni(started), .issue_i(do_issue), .epoch_o(epoch_now), .retire_i(do_retire && Mutant != 2 || Mutant == 2 && do_record),
    .retire_epoch_i(Mutant == 2 ? epoch[record_of] : epoch[retire_of]), .fence_i(fence), .fence_done_o(fence_done), .count0_o(count0),
    .count1_o(count1), .empty_o(unused_empty)
  );

  // What the lookup that reads tags finds.
  logic found, where;
  assign found = tags != 2'b00;
  assign where = tags == 2'b11 ? prefer : tags[1];

  always_ff @(posedge clk_i) begin
    if (!started) begin
      {state3, state2, state1, state0} <= 8'd0;
      epoch   <= 4'd0;
      slot    <= 4'd0;
      step    <= 3'd0;
      owner   <= 1'b0;
      tags    <= 2'b01;
      record0 <= Good;
      record1 <= 2'd0;
      drain   <= 3'd0;
    end else begin
      if (do_issue) epoch[free_one] <= epoch_now;
      if (do_tags) slot[tags_of] <= where;
      for (int i = 0; i < 4; i++) begin
        if (do_issue && free_one == 2'(i)) begin
          if (i == 0) state0 <= Issued;
          if (i == 1) state1 <= Issued;
          if (i == 2) state2 <= Issued;
          if (i == 3) state3 <= Issued;
        end
        if (do_tags && tags_of == 2'(i)) begin
          if (i == 0) state0 <= Tagged;
          if (i == 1) state1 <= Tagged;
          if (i == 2) state2 <= Tagged;
          if (i == 3) state3 <= Tagged;
        end
        if (do_record && record_of == 2'(i)) begin
          if (i == 0) state0 <= Read;
          if (i == 1) state1 <= Read;
          if (i == 2) state2 <= Read;
          if (i == 3) state3 <= Read;
        end
        if (do_retire && retire_of == 2'(i)) begin
          if (i == 0) state0 <= 2'd0;
          if (i == 1) state1 <= 2'd0;
          if (i == 2) state2 <= 2'd0;
          if (i == 3) state3 <= 2'd0;
        end
      end

      if (step == 3'd4) drain <= drain + 3'd1;
      else drain <= 3'd0;
      case (step)
        3'd0: begin  // copy the record into the free slot
          if (scribble) begin
            if (owner) record0 <= value;
            else record1 <= value;
          end
          if (go) begin
            if (Mutant != 5) begin
              if (owner) record0 <= Good;
              else record1 <= Good;
            end
            if (Mutant == 3) tags <= 2'b00;
            step <= 3'd1;
          end
        end
        3'd1: begin  // set the new tag
          if (go) begin
            tags <= 2'b11;
            step <= 3'd2;
          end
        end
        3'd2: begin  // clear the old one
          if (go) begin
            if (Mutant == 5) begin
              if (owner) record0 <= Good;
              else record1 <= Good;
            end
            tags  <= owner ? 2'b01 : 2'b10;
            owner <= !owner;
            step  <= 3'd3;
          end
        end
        3'd3: step <= 3'd4;  // fence
        default: if (may_reuse) step <= 3'd0;
      endcase
    end
  end

  // How many of the four are in flight with an epoch.
  function automatic logic [2:0] in_flight(input logic [7:0] s, input logic [3:0] e);
    in_flight = 3'd0;
    for (int i = 0; i < 4; i++) if (s[2*i +: 2] != 2'd0 && e[i]) in_flight = in_flight + 3'd1;
  endfunction

  logic [1:0] record_owner, record_other;
  assign record_owner = owner ? record1 : record0;
  assign record_other = owner ? record0 : record1;

  always_ff @(posedge clk_i) begin
    if (started) begin
      // The two statements.
      if (do_tags) a_hit: assert (found);
      if (do_record) a_right: assert ((slot[record_of] ? record1 : record0) == Good);

      // What makes them inductive.
      if (Mutant == 0) begin
        i_step: assert (step <= 3'd4);
        i_count1: assert (count1 == in_flight(state, epoch));
        i_count0: assert (count0 == in_flight(state, ~epoch));
        i_tags: assert (tags == (step == 3'd2 ? 2'b11 : owner ? 2'b10 : 2'b01));
        i_owner: assert (record_owner == Good);
        i_other: assert (step == 3'd0 || record_other == Good);
        for (int i = 0; i < 4; i++) begin
          // Outside of a fence all carry the epoch of now, and nobody heads for a free slot.
          if (state[2*i +: 2] != 2'd0 && step != 3'd4) assert (epoch[i] == epoch_now);
          if (state[2*i +: 2] == Tagged && (step == 3'd0 || step == 3'd1)) assert (slot[i] == owner);
          // Within one, only those that began before it do.
          if (state[2*i +: 2] == Tagged && step == 3'd4 && slot[i] != owner) assert (epoch[i] != epoch_now);
        end
      end
    end
  end
endmodule
