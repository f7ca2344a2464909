# Answers every request with the guest's host name. Perl, because the host's /usr always has it and it starts in 5 ms.
use strict;
use warnings;
use IO::Socket::INET;
use Sys::Hostname;

my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "port 8080: $!";
open(my $mark, '>', '/run/listening') or die $!;
close $mark;
my $body = hostname() . "\n";
while (my $client = $server->accept) {
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
    close $client;
}
