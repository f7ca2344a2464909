{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.berth.secrets;
in
{
  options.berth.secrets = {
    backend = mkOption {
      type = types.enum [
        "age"
        "sops"
      ];
      default = "age";
      description = ''
        How the files in the repository are encrypted: "age" to this host's SSH key, or "sops" (binary files, the same key as age
        recipient).
      '';
    };

    identityFile = mkOption {
      type = types.externalPath;
      default = "/etc/ssh/ssh_host_ed25519_key";
      description = "Private key on the host that opens the files: its SSH host key, so that there is no further secret to bring.";
    };

    folder = mkOption {
      type = types.str;
      readOnly = true;
      default = "/run/berth-secrets";
      description = "Where the opened files lie, in memory, readable by root alone.";
    };

    files = mkOption {
      default = { };
      example = lib.literalExpression "{ github-webhook-secret.source = ../../secrets/github-webhook-secret.age; }";
      description = ''
        Secrets by name. Those named like a credential of the operator (`github-webhook-secret`, `github-app-private-key`, …) are
        handed to it by themselves; others by naming their `path` elsewhere, or their `units`.
      '';
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              source = mkOption {
                type = types.path;
                description = "The encrypted file in the repository.";
              };
              units = mkOption {
                type = types.listOf (types.strMatching "[A-Za-z0-9@._-]+");
                default = [ ];
                example = [ "restic-backups-berth" ];
                description = "Services that get the secret as a systemd credential of the same name.";
              };
              path = mkOption {
                type = types.str;
                readOnly = true;
                default = "${cfg.folder}/${name}";
                defaultText = lib.literalMD "`/run/berth-secrets/<name>`";
                description = "The opened file, for options that take a path.";
              };
            };
          }
        )
      );
    };
  };
}
