// Register block and doorbells behind AXI4-Lite: BAR0 at 0, the doorbell page at BAR0_BYTES.
//
// One access at a time; a write takes 2 clocks, a read 4. Accesses to nothing, writes to read-only registers, and writes that
// the state forbids (a ring's address while it is enabled, enabling a ring that is not valid or still busy, a doorbell
// beyond its ring) are counted in BAD_ACCESS and change nothing; the bus always answers OKAY, as a PCI function would.
// Only whole words are written: other strobes count as bad.
// Host-domain registers are reset by rst_host_ni, flow-domain ones by rst_ni or flow_clear_i (FLOW_RESET).
module slu_axil_regs #(
  parameter int unsigned NumPorts      = 2,
  parameter int unsigned QueuesPerPort = 2,
  parameter int unsigned BucketBits    = 17,
  parameter int unsigned FlowIdBits    = 20,
  parameter int unsigned NextHopBits   = 12,
  localparam int unsigned NumQueues    = NumPorts * QueuesPerPort
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    rst_host_ni,

  // Host bus
  input  logic                    s_axil_awvalid_i,
  output logic                    s_axil_awready_o,
  input  logic [16:0]             s_axil_awaddr_i,
  input  logic                    s_axil_wvalid_i,
  output logic                    s_axil_wready_o,
  input  logic [31:0]             s_axil_wdata_i,
  input  logic [3:0]              s_axil_wstrb_i,
  output logic                    s_axil_bvalid_o,
  input  logic                    s_axil_bready_i,
  output logic [1:0]              s_axil_bresp_o,
  input  logic                    s_axil_arvalid_i,
  output logic                    s_axil_arready_o,
  input  logic [16:0]             s_axil_araddr_i,
  output logic                    s_axil_rvalid_o,
  input  logic                    s_axil_rready_i,
  output logic [31:0]             s_axil_rdata_o,
  output logic [1:0]              s_axil_rresp_o,

  // Card
  input  logic [63:0]             time_us_i,
  input  logic [NumPorts-1:0]     link_i,
  output logic                    reset_request_o,  // CONTROL.HOST_RESET
  input  logic                    reset_busy_i,
  input  logic [31:0]             generation_i,
  output logic                    dma_enable_o,
  input  logic                    dma_idle_i,
  input  logic                    dma_read_error_i,   // pulses
  input  logic                    dma_write_error_i,
  input  logic [2:0]              memory_errors_i,    // pulses
  output logic [NumQueues:0]      irq_mask_o,

  // slu_cmd
  output logic                    cmd_enable_o,
  output logic                    cmd_restart_o,
  output logic [63:0]             cmd_ring_o,
  output logic [4:0]              cmd_ring_log2_o,
  output logic [63:0]             cmd_cpl_o,
  output logic [4:0]              cmd_cpl_log2_o,
  output logic                    cmd_db_valid_o,
  input  logic                    cmd_db_bad_i,
  input  logic                    cmd_fault_i,
  input  logic [31:0]             cmd_head_i,
  input  logic                    cmd_failed_i,
  input  logic                    cmd_nop_i,
  input  logic                    cmd_executing_i,

  // Doorbells: the value is db_value_o
  output logic [7:0]              db_queue_o,
  output logic [31:0]             db_value_o,
  output logic                    rx_db_valid_o,
  input  logic                    rx_db_bad_i,
  output logic                    tx_db_valid_o,
  input  logic                    tx_db_bad_i,
  output logic                    arm_valid_o,
  output logic [7:0]              arm_vector_o,

  // Queues
  output logic [NumQueues-1:0]    rx_enable_o,
  output logic [NumQueues-1:0]    rx_restart_o,
  output logic [NumQueues*64-1:0] rx_ring_o,
  output logic [NumQueues*64-1:0] rx_cpl_o,
  output logic [NumQueues*4-1:0]  rx_log2_o,
  input  logic [NumQueues-1:0]    rx_fault_i,
  input  logic [NumQueues-1:0]    rx_busy_i,
  input  logic [NumQueues*32-1:0] rx_head_i,
  output logic [NumQueues-1:0]    tx_enable_o,
  output logic [NumQueues-1:0]    tx_restart_o,
  output logic [NumQueues*64-1:0] tx_ring_o,
  output logic [NumQueues*64-1:0] tx_wb_o,
  output logic [NumQueues*4-1:0]  tx_log2_o,
  input  logic [NumQueues-1:0]    tx_fault_i,
  input  logic [NumQueues-1:0]    tx_busy_i,
  input  logic [NumQueues*32-1:0] tx_head_i,

  // slu_rss
  output logic                    rss_write_o,
  output logic [7:0]              rss_port_o,
  output logic [5:0]              rss_word_o,
  input  logic                    rss_bad_i,
  input  logic                    rss_init_i,  // clears itself: writes wait
  input  logic [31:0]             rss_rdata_i,

  // Flow engine
  output logic                    lookup_enable_o,
  output logic [14*32-1:0]        hash_key_o,
  output logic [NumPorts*48-1:0]  port_mac_o,
  output logic [NumPorts-1:0]     port_enable_o,
  output logic [NumPorts-1:0]     vlan_strip_o,
  input  logic                    flow_clear_i,
  input  logic                    flow_busy_i,
  input  logic [31:0]             tags_valid_i,
  // Port statistics: port and index to flow engine and slu_port_counters; the sum is back two clocks later.
  output logic [7:0]              pstat_port_o,
  output logic [4:0]              pstat_idx_o,
  input  logic [63:0]             pstat_value_i,

  output logic                    idle_o
);
  // Word addresses: registers, then the ROM of the device tree, then doorbells.
  localparam logic [16:0] RomBase   = 17'(slu_regs_pkg::DT_ROM_OFFSET);
  localparam logic [16:0] DbBase    = 17'(slu_regs_pkg::BAR0_BYTES);
  localparam int unsigned PortEnd   = slu_regs_pkg::PORT_BASE + NumPorts * slu_regs_pkg::PORT_STRIDE;
  localparam int unsigned QueueEnd  = slu_regs_pkg::QUEUE_BASE + NumQueues * slu_regs_pkg::QUEUE_STRIDE;
  localparam int unsigned QW = NumQueues > 1 ? $clog2(NumQueues) : 1;
  localparam int unsigned PW = NumPorts > 1 ? $clog2(NumPorts) : 1;

  // -- bus: a write or a read at a time --
  typedef enum logic [2:0] {Idle, Write, WriteDone, Read, ReadWait, ReadTake, ReadDone} state_e;
  state_e      state_q;
  logic [16:0] addr_q;
  logic [31:0] data_q;
  logic        strobe_q;
  logic        write, read;  // in this clock; read: the value is taken
  logic        in_rss_key, in_rss_reta, in_stats, in_hash;

  assign s_axil_awready_o = state_q == Idle && s_axil_awvalid_i && s_axil_wvalid_i;
  assign s_axil_wready_o  = s_axil_awready_o;
  assign s_axil_arready_o = state_q == Idle && s_axil_arvalid_i && !s_axil_awready_o;
  assign s_axil_bvalid_o  = state_q == WriteDone;
  assign s_axil_bresp_o   = 2'b00;
  assign s_axil_rvalid_o  = state_q == ReadDone;
  assign s_axil_rresp_o   = 2'b00;
  assign write            = state_q == Write && !(rss_init_i && (in_rss_key || in_rss_reta));
  assign read             = state_q == ReadTake;

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      Idle:
      if (s_axil_awready_o) begin
        addr_q   <= s_axil_awaddr_i;
        data_q   <= s_axil_wdata_i;
        strobe_q <= s_axil_wstrb_i == 4'hF;
        state_q  <= Write;
      end else if (s_axil_arready_o) begin
        addr_q  <= s_axil_araddr_i;
        state_q <= Read;
      end
      Write:     if (write) state_q <= WriteDone;
      WriteDone: if (s_axil_bready_i) state_q <= Idle;
      Read:      state_q <= ReadWait;
      ReadWait:  state_q <= ReadTake;
      ReadTake:  state_q <= ReadDone;
      default:   if (s_axil_rready_i) state_q <= Idle;
    endcase
    if (!rst_ni) state_q <= Idle;
  end

  // -- where an address falls --
  logic        in_id, in_cmd, in_flow, in_port, in_queue, in_rom, in_db;
  logic [16:0] port_at, port_in, queue_at;
  logic [7:0]  port;
  logic [7:0]  queue;
  logic [PW-1:0] p;
  logic [QW-1:0] q;
  logic [11:0] offset;  // in the block or its copy
  assign in_id    = addr_q < 17'(slu_regs_pkg::CMD_BASE);
  assign in_cmd   = addr_q[16:8] == 9'(slu_regs_pkg::CMD_BASE >> 8);
  assign in_flow  = addr_q[16:8] == 9'(slu_regs_pkg::FLOW_BASE >> 8);
  assign in_port  = addr_q >= 17'(slu_regs_pkg::PORT_BASE) && addr_q < 17'(PortEnd);
  assign in_queue = addr_q >= 17'(slu_regs_pkg::QUEUE_BASE) && addr_q < 17'(QueueEnd);
  assign in_rom   = addr_q >= RomBase && addr_q < DbBase;
  assign in_db    = addr_q[16] && addr_q[15:12] == '0;
  assign port_at  = addr_q - 17'(slu_regs_pkg::PORT_BASE);
  always_comb begin
    port = '0;
    for (int i = 1; i < NumPorts; i++) begin
      if (port_at >= 17'(i * slu_regs_pkg::PORT_STRIDE)) port = 8'(i);
    end
  end
  assign port_in  = port_at - 17'(port) * 17'(slu_regs_pkg::PORT_STRIDE);
  assign queue_at = addr_q - 17'(slu_regs_pkg::QUEUE_BASE);
  assign queue    = in_db ? 8'(addr_q[11:4]) : 8'(queue_at / 17'(slu_regs_pkg::QUEUE_STRIDE));
  assign p        = port[PW-1:0];
  assign q        = queue[QW-1:0];
  always_comb begin
    offset = addr_q[11:0];
    if (in_cmd || in_flow) offset = {4'd0, addr_q[7:0]};
    if (in_port) offset = port_in[11:0];
    if (in_queue) offset = 12'(queue_at % 17'(slu_regs_pkg::QUEUE_STRIDE));
  end

  assign in_rss_key  = in_port && offset >= 12'(slu_regs_pkg::PORT_RSS_KEY0) && offset < 12'(slu_regs_pkg::PORT_RSS_KEY0 + 40);
  assign in_rss_reta = in_port && offset >= 12'(slu_regs_pkg::PORT_RETA0) && offset < 12'(slu_regs_pkg::PORT_RETA0 + 128);
  assign in_stats    = in_port && offset >= 12'(slu_regs_pkg::PORT_STATS0)
    && offset < 12'(slu_regs_pkg::PORT_STATS0 + 8 * slu_regs_pkg::STAT_COUNT);
  assign in_hash     = in_flow && offset >= 12'(slu_regs_pkg::FLOW_HASH_KEY0)
    && offset < 12'(slu_regs_pkg::FLOW_HASH_KEY0 + 4 * slu_regs_pkg::HASH_KEYS);

  assign rss_port_o   = port;
  assign rss_word_o   = in_rss_reta ? {1'b1, offset[6:2]} : 6'((offset - 12'(slu_regs_pkg::PORT_RSS_KEY0)) >> 2);
  assign rss_write_o  = write && strobe_q && (in_rss_key || in_rss_reta) && addr_q[1:0] == '0;
  assign pstat_port_o = port;
  assign pstat_idx_o  = 5'((offset - 12'(slu_regs_pkg::PORT_STATS0)) >> 3);
  assign db_queue_o   = queue;
  assign db_value_o   = data_q;

  // -- doorbells --
  logic db_rx_tail, db_tx_tail, db_rx_arm, db_cmd_tail, db_cmd_arm, db_queue_ok;
  assign db_queue_ok = in_db && queue < 8'(NumQueues);
  assign db_rx_tail  = db_queue_ok && addr_q[3:0] == 4'(slu_regs_pkg::DB_RX_TAIL);
  assign db_tx_tail  = db_queue_ok && addr_q[3:0] == 4'(slu_regs_pkg::DB_TX_TAIL);
  assign db_rx_arm   = db_queue_ok && addr_q[3:0] == 4'(slu_regs_pkg::DB_RX_ARM);
  assign db_cmd_tail = in_db && addr_q[11:0] == 12'(slu_regs_pkg::DB_CMD_TAIL);
  assign db_cmd_arm  = in_db && addr_q[11:0] == 12'(slu_regs_pkg::DB_CMD_ARM);

  assign rx_db_valid_o  = write && strobe_q && db_rx_tail;
  assign tx_db_valid_o  = write && strobe_q && db_tx_tail;
  assign cmd_db_valid_o = write && strobe_q && db_cmd_tail;
  assign arm_valid_o    = write && strobe_q && ((db_rx_arm && rx_enable_o[q]) || (db_cmd_arm && cmd_enable_o));
  assign arm_vector_o   = db_cmd_arm ? 8'(NumQueues) : queue;

  // -- writes --
  logic [31:0] scratch0_q, scratch1_q;
  logic        rx_valid, tx_valid, cmd_valid;  // the ring as configured may be enabled
  logic        rx_free, tx_free, cmd_free;     // the ring may be configured
  assign rx_free   = !rx_enable_o[q] && !rx_busy_i[q];
  assign tx_free   = !tx_enable_o[q] && !tx_busy_i[q];
  assign cmd_free  = !cmd_enable_o && !cmd_executing_i;
  assign rx_valid  = rx_free && rx_log2_o[q*4+:4] >= 4'd4 && rx_ring_o[q*64+:6] == '0 && rx_cpl_o[q*64+:6] == '0;
  assign tx_valid  = tx_free && tx_log2_o[q*4+:4] >= 4'd4 && tx_ring_o[q*64+:6] == '0 && tx_wb_o[q*64+:3] == '0;
  assign cmd_valid = cmd_free && cmd_ring_log2_o >= 5'd4 && cmd_ring_log2_o <= 5'd16 && cmd_ring_o[5:0] == '0
    && cmd_cpl_log2_o >= 5'd4 && cmd_cpl_log2_o <= 5'd16 && cmd_cpl_o[5:0] == '0;

  logic write_bad;
  logic set_rx, set_tx;
  assign set_rx = data_q[slu_regs_pkg::Q_CTL_RX_ENABLE] && !rx_enable_o[q];
  assign set_tx = data_q[slu_regs_pkg::Q_CTL_TX_ENABLE] && !tx_enable_o[q];

  always_comb begin
    write_bad = 1'b1;
    if (in_id) begin
      write_bad = !(offset == 12'(slu_regs_pkg::ID_CONTROL) || offset == 12'(slu_regs_pkg::ID_IRQ_MASK));
    end
    if (in_cmd) begin
      case (offset)
        12'(slu_regs_pkg::CMD_RING_LO), 12'(slu_regs_pkg::CMD_RING_HI), 12'(slu_regs_pkg::CMD_CPL_LO),
        12'(slu_regs_pkg::CMD_CPL_HI): write_bad = !cmd_free;
        12'(slu_regs_pkg::CMD_RING_LOG2), 12'(slu_regs_pkg::CMD_CPL_LOG2):
          write_bad = !cmd_free || data_q < 32'd4 || data_q > 32'd16;
        12'(slu_regs_pkg::CMD_CONTROL):
          write_bad = data_q[slu_regs_pkg::CMD_CTL_ENABLE] && !cmd_enable_o && !cmd_valid;
        default: ;
      endcase
    end
    if (in_flow) begin
      write_bad = !(in_hash || offset == 12'(slu_regs_pkg::FLOW_CONTROL) || offset == 12'(slu_regs_pkg::FLOW_SCRATCH0)
        || offset == 12'(slu_regs_pkg::FLOW_SCRATCH1));
    end
    if (in_port) begin
      case (offset)
        12'(slu_regs_pkg::PORT_CONTROL), 12'(slu_regs_pkg::PORT_MAC_LO), 12'(slu_regs_pkg::PORT_MAC_HI): write_bad = 1'b0;
        default: write_bad = !(in_rss_key || (in_rss_reta && !rss_bad_i));
      endcase
    end
    if (in_queue) begin
      case (offset)
        12'(slu_regs_pkg::QUEUE_CONTROL): write_bad = (set_rx && !rx_valid) || (set_tx && !tx_valid);
        12'(slu_regs_pkg::QUEUE_RX_RING_LO), 12'(slu_regs_pkg::QUEUE_RX_RING_HI), 12'(slu_regs_pkg::QUEUE_RX_CPL_LO),
        12'(slu_regs_pkg::QUEUE_RX_CPL_HI): write_bad = !rx_free;
        12'(slu_regs_pkg::QUEUE_TX_RING_LO), 12'(slu_regs_pkg::QUEUE_TX_RING_HI), 12'(slu_regs_pkg::QUEUE_TX_WB_LO),
        12'(slu_regs_pkg::QUEUE_TX_WB_HI): write_bad = !tx_free;
        12'(slu_regs_pkg::QUEUE_RX_LOG2): write_bad = !rx_free || data_q < 32'd4 || data_q > 32'd15;
        12'(slu_regs_pkg::QUEUE_TX_LOG2): write_bad = !tx_free || data_q < 32'd4 || data_q > 32'd15;
        default: ;
      endcase
    end
    if (db_rx_tail) write_bad = rx_db_bad_i;
    if (db_tx_tail) write_bad = tx_db_bad_i;
    if (db_rx_arm) write_bad = !rx_enable_o[q];
    if (db_cmd_tail) write_bad = cmd_db_bad_i;
    if (db_cmd_arm) write_bad = !cmd_enable_o;
    if (!strobe_q || addr_q[1:0] != '0) write_bad = 1'b1;
  end

  logic good;
  assign good = write && !write_bad;

  always_ff @(posedge clk_i) begin
    reset_request_o <= 1'b0;
    cmd_restart_o   <= 1'b0;
    rx_restart_o    <= '0;
    tx_restart_o    <= '0;
    if (good && in_id) begin
      if (offset == 12'(slu_regs_pkg::ID_CONTROL)) begin
        dma_enable_o    <= data_q[slu_regs_pkg::CONTROL_DMA_ENABLE];
        reset_request_o <= data_q[slu_regs_pkg::CONTROL_HOST_RESET];
      end else begin
        irq_mask_o <= data_q[NumQueues:0];
      end
    end
    if (good && in_cmd) begin
      case (offset)
        12'(slu_regs_pkg::CMD_RING_LO):   cmd_ring_o[31:0] <= data_q;
        12'(slu_regs_pkg::CMD_RING_HI):   cmd_ring_o[63:32] <= data_q;
        12'(slu_regs_pkg::CMD_RING_LOG2): cmd_ring_log2_o <= data_q[4:0];
        12'(slu_regs_pkg::CMD_CPL_LO):    cmd_cpl_o[31:0] <= data_q;
        12'(slu_regs_pkg::CMD_CPL_HI):    cmd_cpl_o[63:32] <= data_q;
        12'(slu_regs_pkg::CMD_CPL_LOG2):  cmd_cpl_log2_o <= data_q[4:0];
        default: begin
          cmd_enable_o  <= data_q[slu_regs_pkg::CMD_CTL_ENABLE];
          cmd_restart_o <= data_q[slu_regs_pkg::CMD_CTL_ENABLE] && !cmd_enable_o;
        end
      endcase
    end
    if (good && in_port) begin
      if (offset == 12'(slu_regs_pkg::PORT_CONTROL)) begin
        port_enable_o[p] <= data_q[slu_regs_pkg::PORT_CTL_ENABLE];
        vlan_strip_o[p]  <= data_q[slu_regs_pkg::PORT_CTL_VLAN_STRIP];
      end
    end
    if (good && in_queue) begin
      case (offset)
        12'(slu_regs_pkg::QUEUE_CONTROL): begin
          rx_enable_o[q]  <= data_q[slu_regs_pkg::Q_CTL_RX_ENABLE];
          rx_restart_o[q] <= set_rx;
          tx_enable_o[q]  <= data_q[slu_regs_pkg::Q_CTL_TX_ENABLE];
          tx_restart_o[q] <= set_tx;
        end
        12'(slu_regs_pkg::QUEUE_RX_RING_LO): rx_ring_o[q*64+:32] <= data_q;
        12'(slu_regs_pkg::QUEUE_RX_RING_HI): rx_ring_o[q*64+32+:32] <= data_q;
        12'(slu_regs_pkg::QUEUE_RX_CPL_LO):  rx_cpl_o[q*64+:32] <= data_q;
        12'(slu_regs_pkg::QUEUE_RX_CPL_HI):  rx_cpl_o[q*64+32+:32] <= data_q;
        12'(slu_regs_pkg::QUEUE_RX_LOG2):    rx_log2_o[q*4+:4] <= data_q[3:0];
        12'(slu_regs_pkg::QUEUE_TX_RING_LO): tx_ring_o[q*64+:32] <= data_q;
        12'(slu_regs_pkg::QUEUE_TX_RING_HI): tx_ring_o[q*64+32+:32] <= data_q;
        12'(slu_regs_pkg::QUEUE_TX_WB_LO):   tx_wb_o[q*64+:32] <= data_q;
        12'(slu_regs_pkg::QUEUE_TX_WB_HI):   tx_wb_o[q*64+32+:32] <= data_q;
        default:                             tx_log2_o[q*4+:4] <= data_q[3:0];
      endcase
    end
    // A ring whose descriptors cannot be read is off.
    if (cmd_fault_i) cmd_enable_o <= 1'b0;
    for (int i = 0; i < NumQueues; i++) begin
      if (rx_fault_i[i]) rx_enable_o[i] <= 1'b0;
      if (tx_fault_i[i]) tx_enable_o[i] <= 1'b0;
    end
    if (!rst_host_ni) begin
      dma_enable_o    <= 1'b0;
      irq_mask_o      <= '0;
      cmd_enable_o    <= 1'b0;
      cmd_restart_o   <= 1'b0;
      cmd_ring_o      <= '0;
      cmd_ring_log2_o <= '0;
      cmd_cpl_o       <= '0;
      cmd_cpl_log2_o  <= '0;
      port_enable_o   <= '0;
      vlan_strip_o    <= '0;
      rx_enable_o     <= '0;
      rx_restart_o    <= '0;
      rx_ring_o       <= '0;
      rx_cpl_o        <= '0;
      rx_log2_o       <= '0;
      tx_enable_o     <= '0;
      tx_restart_o    <= '0;
      tx_ring_o       <= '0;
      tx_wb_o         <= '0;
      tx_log2_o       <= '0;
    end
    if (!rst_ni) reset_request_o <= 1'b0;
  end

  // Flow domain.
  always_ff @(posedge clk_i) begin
    if (good && in_flow) begin
      if (in_hash) hash_key_o[4'((offset - 12'(slu_regs_pkg::FLOW_HASH_KEY0)) >> 2)*32+:32] <= data_q;
      else if (offset == 12'(slu_regs_pkg::FLOW_CONTROL)) lookup_enable_o <= data_q[slu_regs_pkg::FLOW_CTL_LOOKUP_ENABLE];
      else if (offset == 12'(slu_regs_pkg::FLOW_SCRATCH0)) scratch0_q <= data_q;
      else scratch1_q <= data_q;
    end
    if (good && in_port) begin
      if (offset == 12'(slu_regs_pkg::PORT_MAC_LO)) port_mac_o[p*48+:32] <= data_q;
      if (offset == 12'(slu_regs_pkg::PORT_MAC_HI)) port_mac_o[p*48+32+:16] <= data_q[15:0];
    end
    if (!rst_ni || flow_clear_i) begin
      lookup_enable_o <= 1'b0;
      hash_key_o      <= '0;
      scratch0_q      <= '0;
      scratch1_q      <= '0;
      port_mac_o      <= '0;
    end
  end

  // -- counters of the block --
  logic [31:0] read_errors_q, write_errors_q, bad_access_q, memory_errors_q, heartbeat_q, cmd_errors_q;
  logic        read_bad;
  always_ff @(posedge clk_i) begin
    if (dma_read_error_i) read_errors_q <= read_errors_q + 32'd1;
    if (dma_write_error_i) write_errors_q <= write_errors_q + 32'd1;
    if ((write && write_bad) || (read && read_bad)) bad_access_q <= bad_access_q + 32'd1;
    if (cmd_nop_i) heartbeat_q <= heartbeat_q + 32'd1;
    if (cmd_failed_i) cmd_errors_q <= cmd_errors_q + 32'd1;
    if (memory_errors_i != '0) begin
      memory_errors_q <= memory_errors_q + 32'(memory_errors_i[0]) + 32'(memory_errors_i[1]) + 32'(memory_errors_i[2]);
    end
    if (!rst_host_ni) begin
      read_errors_q  <= '0;
      write_errors_q <= '0;
      bad_access_q   <= '0;
      heartbeat_q    <= '0;
      cmd_errors_q   <= '0;
    end
    if (!rst_ni) memory_errors_q <= '0;
  end

  // -- reads --
  logic [31:0] rdata, rom_rdata, rom_bytes;
  logic [31:0] time_hi_q, stat_hi_q;
  slu_dt_rom u_rom (
    .clk_i,
    .ren_i  (state_q == Read && in_rom),
    .addr_i (addr_q[14:2]),
    .rdata_o(rom_rdata),
    .bytes_o(rom_bytes)
  );

  always_comb begin
    rdata    = '0;
    read_bad = 1'b0;
    if (read) begin
      if (in_id) begin
        case (offset)
          12'(slu_regs_pkg::ID_MAGIC):            rdata = slu_regs_pkg::Magic;
          12'(slu_regs_pkg::ID_VERSION):          rdata = slu_regs_pkg::Version;
          12'(slu_regs_pkg::ID_DT_OFFSET):        rdata = 32'(slu_regs_pkg::DT_ROM_OFFSET);
          12'(slu_regs_pkg::ID_DT_BYTES):         rdata = rom_bytes;
          12'(slu_regs_pkg::ID_GENERATION):       rdata = generation_i;
          12'(slu_regs_pkg::ID_CONTROL):          rdata = 32'({reset_busy_i || reset_request_o, dma_enable_o});
          12'(slu_regs_pkg::ID_STATUS):           rdata = 32'({flow_busy_i, dma_idle_i});
          12'(slu_regs_pkg::ID_HEARTBEAT):        rdata = heartbeat_q;
          12'(slu_regs_pkg::ID_TIME_US_LO):       rdata = time_us_i[31:0];
          12'(slu_regs_pkg::ID_TIME_US_HI):       rdata = time_hi_q;
          12'(slu_regs_pkg::ID_DMA_READ_ERRORS):  rdata = read_errors_q;
          12'(slu_regs_pkg::ID_DMA_WRITE_ERRORS): rdata = write_errors_q;
          12'(slu_regs_pkg::ID_IRQ_MASK):         rdata = 32'(irq_mask_o);
          12'(slu_regs_pkg::ID_BAD_ACCESS):       rdata = bad_access_q;
          12'(slu_regs_pkg::ID_MEMORY_ERRORS):    rdata = memory_errors_q;
          default:                                read_bad = 1'b1;
        endcase
      end else if (in_cmd) begin
        case (offset)
          12'(slu_regs_pkg::CMD_RING_LO):   rdata = cmd_ring_o[31:0];
          12'(slu_regs_pkg::CMD_RING_HI):   rdata = cmd_ring_o[63:32];
          12'(slu_regs_pkg::CMD_RING_LOG2): rdata = 32'(cmd_ring_log2_o);
          12'(slu_regs_pkg::CMD_CPL_LO):    rdata = cmd_cpl_o[31:0];
          12'(slu_regs_pkg::CMD_CPL_HI):    rdata = cmd_cpl_o[63:32];
          12'(slu_regs_pkg::CMD_CPL_LOG2):  rdata = 32'(cmd_cpl_log2_o);
          12'(slu_regs_pkg::CMD_CONTROL):   rdata = 32'({cmd_executing_i, cmd_enable_o});
          12'(slu_regs_pkg::CMD_HEAD):      rdata = cmd_head_i;
          12'(slu_regs_pkg::CMD_ERRORS):    rdata = cmd_errors_q;
          default:                          read_bad = 1'b1;
        endcase
      end else if (in_flow) begin
        case (offset)
          12'(slu_regs_pkg::FLOW_CONTROL):       rdata = 32'(lookup_enable_o);
          12'(slu_regs_pkg::FLOW_BUCKET_BITS):   rdata = 32'(BucketBits);
          12'(slu_regs_pkg::FLOW_FLOW_ID_BITS):  rdata = 32'(FlowIdBits);
          12'(slu_regs_pkg::FLOW_NEXT_HOP_BITS): rdata = 32'(NextHopBits);
          12'(slu_regs_pkg::FLOW_TAGS_VALID):    rdata = tags_valid_i;
          12'(slu_regs_pkg::FLOW_SCRATCH0):      rdata = scratch0_q;
          12'(slu_regs_pkg::FLOW_SCRATCH1):      rdata = scratch1_q;
          default: begin
            if (in_hash) rdata = hash_key_o[4'((offset - 12'(slu_regs_pkg::FLOW_HASH_KEY0)) >> 2)*32+:32];
            else read_bad = 1'b1;
          end
        endcase
      end else if (in_port) begin
        case (offset)
          12'(slu_regs_pkg::PORT_CONTROL): rdata = 32'({vlan_strip_o[p], port_enable_o[p]});
          12'(slu_regs_pkg::PORT_LINK):    rdata = 32'(link_i[p]);
          12'(slu_regs_pkg::PORT_MAC_LO):  rdata = port_mac_o[p*48+:32];
          12'(slu_regs_pkg::PORT_MAC_HI):  rdata = 32'(port_mac_o[p*48+32+:16]);
          default: begin
            if (in_rss_key || in_rss_reta) rdata = rss_rdata_i;
            else if (in_stats) rdata = offset[2] ? stat_hi_q : pstat_value_i[31:0];
            else read_bad = 1'b1;
          end
        endcase
      end else if (in_queue) begin
        case (offset)
          12'(slu_regs_pkg::QUEUE_CONTROL):    rdata = 32'({tx_busy_i[q], rx_busy_i[q], tx_enable_o[q], rx_enable_o[q]});
          12'(slu_regs_pkg::QUEUE_RX_RING_LO): rdata = rx_ring_o[q*64+:32];
          12'(slu_regs_pkg::QUEUE_RX_RING_HI): rdata = rx_ring_o[q*64+32+:32];
          12'(slu_regs_pkg::QUEUE_RX_CPL_LO):  rdata = rx_cpl_o[q*64+:32];
          12'(slu_regs_pkg::QUEUE_RX_CPL_HI):  rdata = rx_cpl_o[q*64+32+:32];
          12'(slu_regs_pkg::QUEUE_RX_LOG2):    rdata = 32'(rx_log2_o[q*4+:4]);
          12'(slu_regs_pkg::QUEUE_TX_RING_LO): rdata = tx_ring_o[q*64+:32];
          12'(slu_regs_pkg::QUEUE_TX_RING_HI): rdata = tx_ring_o[q*64+32+:32];
          12'(slu_regs_pkg::QUEUE_TX_WB_LO):   rdata = tx_wb_o[q*64+:32];
          12'(slu_regs_pkg::QUEUE_TX_WB_HI):   rdata = tx_wb_o[q*64+32+:32];
          12'(slu_regs_pkg::QUEUE_TX_LOG2):    rdata = 32'(tx_log2_o[q*4+:4]);
          12'(slu_regs_pkg::QUEUE_RX_HEAD):    rdata = rx_head_i[q*32+:32];
          12'(slu_regs_pkg::QUEUE_TX_HEAD):    rdata = tx_head_i[q*32+:32];
          default:                             read_bad = 1'b1;
        endcase
      end else if (in_rom) begin
        rdata = rom_rdata;
      end else begin
        read_bad = !in_db;  // doorbells read 0
      end
      if (addr_q[1:0] != '0) begin
        rdata    = '0;
        read_bad = 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (read) begin
      s_axil_rdata_o <= rdata;
      if (in_id && offset == 12'(slu_regs_pkg::ID_TIME_US_LO)) time_hi_q <= time_us_i[63:32];
      if (in_stats && !offset[2]) stat_hi_q <= pstat_value_i[63:32];
    end
  end

  assign idle_o = state_q == Idle && !s_axil_awvalid_i && !s_axil_wvalid_i && !s_axil_arvalid_i && !reset_request_o;
endmodule
