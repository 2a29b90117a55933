// Receive side scaling: serial Toeplitz hash over addresses and ports, 32 bits a clock, and the indirection table.
//
// start_i to done_o: 4 clocks (IPv4) or 10 (IPv6). Zero words do not change a Toeplitz hash, so frames without ports give 0
// for them and are hashed over their addresses; frames that are not IP hash to 0.
// Registers: words 0..9 of a port are the key (byte 0 in bits 7:0 of word 0), words 32..63 the table, four entries each.
// A table entry that names no queue of the port is stored as 0 (reg_bad_o).
// Reset clears keys and tables: init_o for 64 clocks a port, register writes are lost meanwhile.
module slu_rss #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned QueuesPerPort = 2
) (
  input  logic         clk_i,
  input  logic         rst_ni,

  // slu_axil_regs
  input  logic         reg_write_i,
  input  logic [7:0]   reg_port_i,
  input  logic [5:0]   reg_word_i,
  input  logic [31:0]  reg_wdata_i,
  output logic         reg_bad_o,    // with reg_write_i
  output logic [31:0]  reg_rdata_o,  // of port and word, at once

  // slu_rx_queues
  input  logic         start_i,
  input  logic [7:0]   port_i,
  input  logic         ipv6_i,
  input  logic [127:0] src_i,
  input  logic [127:0] dst_i,
  input  logic [31:0]  ports_i,
  output logic         done_o,   // pulse
  output logic [31:0]  hash_o,   // with done_o
  output logic [7:0]   queue_o,  // with done_o

  output logic         init_o,
  output logic         busy_o
);
  localparam int unsigned PW = NumPorts > 1 ? $clog2(NumPorts) : 1;

  logic [31:0]   mem [(1<<PW)*64];
  logic          init_q;
  logic [PW+5:0] init_at_q;

  function automatic logic [31:0] swap(input logic [31:0] word);
    swap = {word[7:0], word[15:8], word[23:16], word[31:24]};
  endfunction

  // Exclusive or of the 32-bit windows of `key` at every set bit of `data`, most significant first.
  function automatic logic [31:0] toeplitz(input logic [31:0] data, input logic [63:0] key);
    toeplitz = '0;
    for (int i = 0; i < 32; i++) begin
      if (data[31-i]) toeplitz ^= key[32-i+:32];
    end
  endfunction

  // -- registers --
  logic [31:0] wdata;
  always_comb begin
    wdata     = reg_wdata_i;
    reg_bad_o = 1'b0;
    if (reg_word_i[5]) begin
      for (int i = 0; i < 4; i++) begin
        if (reg_wdata_i[i*8+:8] >= 8'(QueuesPerPort)) begin
          wdata[i*8+:8] = '0;
          reg_bad_o     = 1'b1;
        end
      end
    end
  end
  assign reg_rdata_o = mem[{reg_port_i[PW-1:0], reg_word_i}];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      init_q    <= 1'b1;
      init_at_q <= '0;
    end else if (init_q) begin
      mem[init_at_q] <= '0;
      init_at_q      <= init_at_q + (PW+6)'(1);
      init_q         <= !(&init_at_q);
    end else if (reg_write_i) begin
      mem[{reg_port_i[PW-1:0], reg_word_i}] <= wdata;
    end
  end

  // -- hash --
  logic          run_q, look_q;
  logic [3:0]    step_q, steps_q;
  logic [PW-1:0] port_q;
  logic [287:0]  data_q;  // words still to come, the next in bits 31:0
  logic [31:0]   key_q;
  logic [31:0]   key_next;
  logic [31:0]   entry;

  assign key_next = swap(mem[{port_q, 2'b00, step_q}]);
  assign entry    = mem[{port_q, 1'b1, hash_o[6:2]}];

  always_ff @(posedge clk_i) begin
    done_o <= 1'b0;
    look_q <= 1'b0;
    if (start_i) begin
      run_q   <= 1'b1;
      step_q  <= 4'd0;
      steps_q <= ipv6_i ? 4'd9 : 4'd3;
      port_q  <= port_i[PW-1:0];
      hash_o  <= '0;
      data_q  <= ipv6_i ? {ports_i, dst_i, src_i} : {192'd0, ports_i, dst_i[31:0], src_i[31:0]};
    end else if (run_q) begin
      // The first step only reads the first word of the key.
      key_q  <= key_next;
      step_q <= step_q + 4'd1;
      if (step_q != '0) begin
        hash_o <= hash_o ^ toeplitz(swap(data_q[31:0]), {key_q, key_next});
        data_q <= data_q >> 32;
      end
      if (step_q == steps_q) begin
        run_q  <= 1'b0;
        look_q <= 1'b1;
      end
    end
    if (look_q) begin
      done_o  <= 1'b1;
      queue_o <= entry[hash_o[1:0]*8+:8];
    end
    if (!rst_ni) begin
      run_q  <= 1'b0;
      look_q <= 1'b0;
      done_o <= 1'b0;
    end
  end

  assign init_o = init_q;
  assign busy_o = init_q || run_q || look_q;
endmodule
