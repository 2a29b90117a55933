// A wire's way out: takes whole frames in turn from the rewrite pipelines of all ingress ports and from the host, and puts the
// VLAN tag in.
module slu_egress #(
  parameter int unsigned NumPorts = 2,
  parameter int unsigned Port     = 0
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  // slu_rewrite of every ingress port; pop_o only for beats with dest == Port.
  input  logic [NumPorts-1:0]     fwd_valid_i,
  output logic [NumPorts-1:0]     fwd_pop_o,
  input  logic [NumPorts*8-1:0]   fwd_dest_i,
  input  logic [NumPorts-1:0]     fwd_last_i,
  input  logic [NumPorts*7-1:0]   fwd_bytes_i,
  input  logic [NumPorts-1:0]     fwd_tag_valid_i,
  input  logic [NumPorts*16-1:0]  fwd_tag_i,
  input  logic [NumPorts*512-1:0] fwd_data_i,
  // Host interface; frames as they go on the wire.
  input  logic                    htx_valid_i,
  output logic                    htx_ready_o,
  input  logic [511:0]            htx_data_i,
  input  logic [6:0]              htx_bytes_i,
  input  logic                    htx_last_i,
  // Wire.
  output logic                    tx_valid_o,
  input  logic                    tx_ready_i,
  output logic [511:0]            tx_data_o,
  output logic [63:0]             tx_keep_o,
  output logic                    tx_last_o,
  // Statistics: a frame left, with its length; from_host_o: when a frame of the host was taken.
  output logic                    frame_o,
  output logic [23:0]             bytes_o,
  output logic                    from_host_o,
  output logic                    idle_o
);
  localparam int unsigned Sources = NumPorts + 1;  // the last is the host
  localparam int unsigned SourceBits = $clog2(Sources);
  localparam int unsigned PortBits = NumPorts > 1 ? $clog2(NumPorts) : 1;

  logic [Sources-1:0] want;
  for (genvar p = 0; p < NumPorts; p++) begin : g_want
    assign want[p] = fwd_valid_i[p] && fwd_dest_i[p*8 +: 8] == 8'(Port);
  end
  assign want[NumPorts] = htx_valid_i;

  logic                  locked_q;  // within a frame of source_q
  logic [SourceBits-1:0] source_q, source;
  logic                  take, mid_free, any;
  always_comb begin
    source = source_q;
    any    = 1'b0;
    if (locked_q) begin
      any = want[source_q];
    end else begin
      // The first after the last one served, else the first.
      for (int i = Sources - 1; i >= 0; i--) begin
        if (want[i]) begin
          source = SourceBits'(i);
          any    = 1'b1;
        end
      end
      for (int i = Sources - 1; i >= 0; i--) begin
        if (want[i] && SourceBits'(i) > source_q) source = SourceBits'(i);
      end
    end
  end

  // Mux register.
  logic         valid_q, first_q, last_q, tag_valid_q, ins_ready;
  logic [511:0] data_q;
  logic [6:0]   bytes_q;
  logic [15:0]  tag_q;
  logic         host, last;
  assign mid_free = !valid_q || ins_ready;
  assign take     = any && mid_free;
  assign host     = source == SourceBits'(NumPorts);
  assign last     = host ? htx_last_i : fwd_last_i[source[PortBits-1:0]];
  always_comb begin
    fwd_pop_o = '0;
    for (int p = 0; p < NumPorts; p++) fwd_pop_o[p] = take && source == SourceBits'(p);
  end
  assign htx_ready_o = mid_free && host && any;
  assign from_host_o = take && host && !locked_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q  <= 1'b0;
      locked_q <= 1'b0;
      source_q <= '0;
    end else begin
      if (mid_free) valid_q <= any;
      if (take) begin
        locked_q <= !last;
        source_q <= source;
      end
    end
    if (take) begin
      first_q <= !locked_q;
      last_q  <= last;
      if (host) begin
        data_q      <= htx_data_i;
        bytes_q     <= htx_bytes_i;
        tag_valid_q <= 1'b0;
      end else begin
        data_q      <= fwd_data_i[source[PortBits-1:0]*512 +: 512];
        bytes_q     <= fwd_bytes_i[source[PortBits-1:0]*7 +: 7];
        tag_valid_q <= fwd_tag_valid_i[source[PortBits-1:0]];
        tag_q       <= fwd_tag_i[source[PortBits-1:0]*16 +: 16];
      end
    end
  end

  logic [6:0] tx_bytes;
  slu_vlan_insert #(.PadToMin(1'b1)) u_insert (
    .clk_i, .rst_ni,
    .valid_i(valid_q), .ready_o(ins_ready), .data_i(data_q), .bytes_i(bytes_q), .first_i(first_q), .last_i(last_q),
    .tag_valid_i(tag_valid_q), .tag_i(tag_q),
    .valid_o(tx_valid_o), .ready_i(tx_ready_i), .data_o(tx_data_o), .bytes_o(tx_bytes), .last_o(tx_last_o)
  );
  assign tx_keep_o = 64'hFFFF_FFFF_FFFF_FFFF >> (7'd64 - tx_bytes);

  logic [23:0] sum_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sum_q   <= 24'd0;
      frame_o <= 1'b0;
    end else begin
      frame_o <= tx_valid_o && tx_ready_i && tx_last_o;
      if (tx_valid_o && tx_ready_i) begin
        sum_q   <= tx_last_o ? 24'd0 : sum_q + 24'(tx_bytes);
        bytes_o <= sum_q + 24'(tx_bytes);
      end
    end
  end
  assign idle_o = !valid_q && !tx_valid_o && !locked_q && !frame_o;
endmodule
