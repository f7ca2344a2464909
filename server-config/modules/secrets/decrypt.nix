# Opens all secrets once at boot, and anew when one of them has changed.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.secrets;
  names = lib.attrNames cfg.files;
  tool = {
    age = pkgs.age;
    sops = pkgs.sops;
  };
  wanted = lib.concatMap (name: [
    name
    "${cfg.files.${name}.source}"
  ]) names;
  units = lib.unique (lib.concatMap (file: file.units) (lib.attrValues cfg.files));
  namesFor = unit: lib.filter (name: lib.elem unit cfg.files.${name}.units) names;
  unitWithCredentials = unit: {
    requires = [ "berth-secrets.service" ];
    after = [ "berth-secrets.service" ];
    serviceConfig.LoadCredential = map (name: "${name}:${cfg.files.${name}.path}") (namesFor unit);
  };
in
{
  config = lib.mkIf (config.berth.features.secrets && cfg.files != { }) {
    systemd.services = lib.genAttrs units unitWithCredentials // {
      berth-secrets = {
        description = "Open the secrets of this host";
        wantedBy = [ "multi-user.target" ];
        # The key that opens them may be made at the first boot.
        wants = [ "sshd-keygen.service" ];
        after = [
          "sshd-keygen.service"
          "local-fs.target"
        ];
        before = [ "multi-user.target" ];
        path = [
          tool.${cfg.backend}
          pkgs.coreutils
        ];
        serviceConfig = import ../../unit-sandbox.nix // {
          Type = "oneshot";
          RemainAfterExit = true;
          # A refused call is an error to handle, not a killed process.
          SystemCallErrorNumber = "EPERM";
          # Kept over a restart of this unit: a secret that can't be opened must not take away the one that works.
          RuntimeDirectory = baseNameOf cfg.folder;
          RuntimeDirectoryMode = "0700";
          RuntimeDirectoryPreserve = "restart";
          ExecStart = lib.escapeShellArgs (
            [
              "${pkgs.bashNonInteractive}/bin/bash"
              "${./open-secrets.sh}"
              cfg.backend
              cfg.identityFile
              cfg.folder
            ]
            ++ wanted
          );
        };
      };
    };
  };
}
