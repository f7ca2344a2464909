{ config, lib, ... }:
let
  cfg = config.berth.secrets;
  # The only thing that may be read of a secret here: whether it is encrypted.
  isEncrypted = {
    # As text (`--armor`), for Nix can't look into a binary file.
    age = source: lib.head (lib.splitString "\n" (builtins.readFile source)) == "-----BEGIN AGE ENCRYPTED FILE-----";
    sops = source: lib.hasInfix "\"sops\":" (builtins.readFile source);
  };
  badName = lib.filter (name: builtins.match "[a-z0-9][a-z0-9._-]{0,63}" name == null) (lib.attrNames cfg.files);
  plain = lib.attrNames (lib.filterAttrs (_: file: !isEncrypted.${cfg.backend} file.source) cfg.files);
in
{
  config.assertions = lib.mkIf config.berth.features.secrets [
    {
      assertion = badName == [ ];
      message = "berth.secrets.files: ${lib.concatStringsSep ", " badName} is no name for a secret. Use lower-case letters, digits, dots and hyphens.";
    }
    {
      assertion = badName != [ ] || plain == [ ];
      message = "berth.secrets.files: ${lib.concatStringsSep ", " plain} is not encrypted with ${cfg.backend}, as text; every user of the host could read it in the Nix store. Encrypt it as server-config/secrets/README.md shows, and change the secret: it has been in the repository.";
    }
    {
      assertion = config.services.openssh.enable || cfg.identityFile != "/etc/ssh/ssh_host_ed25519_key";
      message = "berth.secrets.identityFile is the SSH host key, but services.openssh.enable is false: nobody makes that key. Name another key.";
    }
  ];
}
