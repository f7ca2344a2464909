# The agents' system is part of the host's own: built and fetched with it, kept from the garbage, and the same on each host of one
# configuration. It is found at /etc/berth/agent-system.
{ config, lib, ... }:
let
  cfg = config.berth.agents;
in
{
  config = lib.mkIf config.berth.features.agents {
    environment.etc = {
      "berth/agent-system".source = cfg.system;
      "berth/agents.json".text = builtins.toJSON {
        system = "/etc/berth/agent-system";
        inherit (cfg) tokenFile;
      };
    };
    # Whoever makes the file later, others never see into its folder.
    systemd.tmpfiles.settings.berth-agents = lib.mkIf (cfg.tokenFile != null) {
      ${dirOf cfg.tokenFile}.d = {
        mode = "0700";
        user = "root";
        group = "root";
      };
    };
  };
}
