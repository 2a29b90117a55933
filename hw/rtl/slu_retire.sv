// Ends lookups: hands the updates of flow statistics of all ports to the statistics block, one a clock, and tells slu_epoch
// that a lookup is over when its update was accepted, or at once if it has none.
module slu_retire #(
  parameter int unsigned NumPorts = 2
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  // slu_decide of every port. room_o falls early enough for what is under way.
  output logic [NumPorts-1:0]    room_o,
  input  logic [NumPorts-1:0]    valid_i,
  input  logic [NumPorts-1:0]    epoch_i,
  input  logic [NumPorts-1:0]    update_i,
  input  logic [NumPorts-1:0]    count_i,
  input  logic [NumPorts*32-1:0] flow_id_i,
  input  logic [NumPorts*16-1:0] bytes_i,
  // Statistics block.
  output logic                   fst_valid_o,
  input  logic                   fst_ready_i,
  output logic [31:0]            fst_flow_id_o,
  output logic [15:0]            fst_bytes_o,
  output logic                   fst_count_o,
  // slu_epoch.
  output logic                   retire_o,
  output logic                   retire_epoch_o
);
  localparam int unsigned Bits = 5;
  localparam int unsigned Margin = 8;  // frames between stage 0 of slu_decide and here, and a few
  localparam int unsigned PortBits = NumPorts > 1 ? $clog2(NumPorts) : 1;

  logic [NumPorts-1:0]    have;
  logic [NumPorts-1:0]    pop;
  logic [NumPorts*32-1:0] head_flow_id;
  logic [NumPorts*19-1:0] head_rest;  // epoch, update, count, bytes
  for (genvar p = 0; p < NumPorts; p++) begin : g_port
    logic [31:0]   flow_id_mem [1 << Bits];
    logic [18:0]   rest_mem [1 << Bits];
    logic [Bits:0] wr_q, rd_q, count;
    assign count = wr_q - rd_q;
    assign have[p] = wr_q != rd_q;
    assign head_flow_id[p*32 +: 32] = flow_id_mem[rd_q[Bits-1:0]];
    assign head_rest[p*19 +: 19]    = rest_mem[rd_q[Bits-1:0]];
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        wr_q      <= '0;
        rd_q      <= '0;
        room_o[p] <= 1'b0;
      end else begin
        if (valid_i[p]) wr_q <= wr_q + 1'b1;
        if (pop[p]) rd_q <= rd_q + 1'b1;
        room_o[p] <= count < (Bits+1)'((1 << Bits) - Margin);
      end
      if (valid_i[p]) begin
        flow_id_mem[wr_q[Bits-1:0]] <= flow_id_i[p*32 +: 32];
        rest_mem[wr_q[Bits-1:0]]    <= {epoch_i[p], update_i[p], count_i[p], bytes_i[p*16 +: 16]};
      end
    end
  end

  logic                free, any, epoch_q, quiet_q;
  logic [PortBits-1:0] last_q, port;
  logic [18:0]         rest;
  logic [31:0]         flow_id;
  assign free  = !fst_valid_o || fst_ready_i;
  assign any   = |have;
  always_comb begin
    port = '0;
    for (int i = NumPorts - 1; i >= 0; i--) if (have[i]) port = PortBits'(i);
    for (int i = NumPorts - 1; i >= 0; i--) if (have[i] && PortBits'(i) > last_q) port = PortBits'(i);
    pop = '0;
    if (free && any) pop[port] = 1'b1;
  end
  // A choice, not a computed slice, which costs the simulation a multiplication and a check.
  always_comb begin
    rest    = head_rest[18:0];
    flow_id = head_flow_id[31:0];
    for (int i = 1; i < NumPorts; i++) begin
      if (port == PortBits'(i)) begin
        rest    = head_rest[i*19 +: 19];
        flow_id = head_flow_id[i*32 +: 32];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fst_valid_o <= 1'b0;
      quiet_q     <= 1'b0;
      last_q      <= '0;
    end else if (free) begin
      fst_valid_o <= any && rest[17];
      quiet_q     <= any && !rest[17];
      if (any) last_q <= port;
    end
    if (free && any) begin
      fst_flow_id_o                      <= flow_id;
      {epoch_q, fst_count_o, fst_bytes_o} <= {rest[18], rest[16:0]};
    end
  end
  assign retire_o       = quiet_q || (fst_valid_o && fst_ready_i);
  assign retire_epoch_o = epoch_q;
endmodule
