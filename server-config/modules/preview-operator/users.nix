{ config, lib, ... }:
let
  cfg = config.berth.previewOperator;
in
{
  config = lib.mkIf config.berth.features.previewOperator {
    users.users.${cfg.user} = {
      isSystemUser = true;
      uid = cfg.userId;
      group = cfg.user;
      home = "/var/lib/berth";
      description = "Berth's operator";
    };
    users.groups.${cfg.user}.gid = cfg.userId;
    users.users.${cfg.webUser} = {
      isSystemUser = true;
      group = cfg.webUser;
      description = "Berth's web";
    };
    users.groups.${cfg.webUser} = { };

    # It builds the previews' closures.
    berth.hardening.nixUsers = [ cfg.user ];
    nix.settings.experimental-features = [
      "nix-command"
      "flakes"
    ];
    berth.database.operatorUsers = [ cfg.user ];
    berth.database.webUsers = [ cfg.webUser ];

    # `preview`, `agent`, `fleet` and `hostctl` for whoever is on the host.
    environment.systemPackages = [ cfg.package ];
  };
}
