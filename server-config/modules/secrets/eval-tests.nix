{ pkgs, root, ... }:
let
  host.services.openssh.enable = true;
  cipher = root + "/test/fixtures/secrets/token.age";
  plain = root + "/test/fixtures/secrets/token.txt";
  secrets = files: {
    berth.features.secrets = true;
    berth.secrets.files = files;
  };
in
{
  "secrets are opened into memory and reach the units that name them" = {
    modules = [
      host
      (secrets {
        restic-password = {
          source = cipher;
          units = [ "restic-backups-berth" ];
        };
      })
    ];
    shows = config: {
      "path" = {
        actual = config.berth.secrets.files.restic-password.path;
        equals = "/run/berth-secrets/restic-password";
      };
      "the unit that opens them" = {
        actual = config.systemd.units."berth-secrets.service".text;
        contains = [
          "open-secrets.sh age /etc/ssh/ssh_host_ed25519_key /run/berth-secrets restic-password /nix/store/"
          "RuntimeDirectoryMode=0700"
          "CapabilityBoundingSet=\n"
        ];
      };
      "the unit that needs it" = {
        actual = config.systemd.units."restic-backups-berth.service".text;
        contains = [
          "LoadCredential=restic-password:/run/berth-secrets/restic-password"
          "Requires=berth-secrets.service"
        ];
      };
    };
  };
  "a secret named like the operator's credential is handed to it" = {
    modules = [
      host
      (secrets { github-webhook-secret.source = cipher; })
    ];
    shows = config: {
      credential = {
        actual = config.berth.previewOperator.credentials.github-webhook-secret;
        equals = "/run/berth-secrets/github-webhook-secret";
      };
    };
  };
  "sops instead of age" = {
    modules = [
      host
      (secrets { token.source = root + "/test/fixtures/secrets/token.sops"; })
      { berth.secrets.backend = "sops"; }
    ];
    shows = config: {
      tool = {
        actual = config.systemd.services.berth-secrets.path;
        contains = "sops";
      };
    };
  };
  "a file in plain text" = {
    modules = [
      host
      (secrets { token.source = plain; })
    ];
    refused = "token is not encrypted with age";
  };
  "an encrypted file that is not text" = {
    modules = [
      host
      (secrets { token.source = root + "/test/fixtures/secrets/token.binary"; })
    ];
    refused = "token is not encrypted with age, as text";
  };
  "a name that is a path" = {
    modules = [
      host
      (secrets { "../x".source = cipher; })
    ];
    refused = "../x is no name for a secret";
  };
  "no SSH host key" = {
    modules = [ (secrets { token.source = cipher; }) ];
    refused = "services.openssh.enable is false: nobody makes that key";
  };
  "a key in the store" = {
    modules = [
      host
      (secrets { token.source = cipher; })
      { berth.secrets.identityFile = "${pkgs.hello}/key"; }
    ];
    throws = "berth.secrets.identityFile";
  };
}
