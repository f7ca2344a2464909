{
  imports = [
    ../../flags.nix
    ../firewall/options.nix
    ./options.nix
    ./assertions.nix
    ./wireguard.nix
  ];
}
