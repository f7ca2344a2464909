{
  imports = [
    ../../flags.nix
    ../preview-operator/options.nix
    ../hardening/options.nix
    ../firewall/options.nix
    ../backup/options.nix
    ./options.nix
    ./assertions.nix
    ./settings-file.nix
    ./maintenance.nix
  ];
}
