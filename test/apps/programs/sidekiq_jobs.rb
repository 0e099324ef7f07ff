# Sidekiq: a client that pushes jobs, bulk jobs and a scheduled one, and Sidekiq's own process that works them off.
require 'sidekiq'
require 'sidekiq/api'

url = "redis://127.0.0.1:#{ENV.fetch('PORT')}/1"
Sidekiq.configure_client { |config| config.redis = { url: url } }
Sidekiq.configure_server do |config|
  config.redis = { url: url }
  Sidekiq.options[:poll_interval_average] = 1
end

class Add
  include Sidekiq::Worker
  sidekiq_options retry: 1
  sidekiq_retry_in { 1 }

  def perform(number, flaky = false)
    first = Sidekiq.redis { |redis| redis.incr("tries:#{number}") } == 1
    raise 'the first time' if flaky && first

    Sidekiq.redis { |redis| redis.incrby('sum', number) }
  end
end

unless Sidekiq.server?
  Add.perform_async(1)
  Add.perform_bulk((2..20).map { |n| [n] })
  Add.perform_in(0.5, 100)
  Add.perform_async(1000, true)
  raise 'stats' unless Sidekiq::Queue.new.size == 21

  queues = ENV.fetch('QUEUES', 'default,mail').split(',').flat_map { |name| ['-q', name] }
  command = ['sidekiq', '-r', File.expand_path(__FILE__), '-c', '2', '-t', '1', *queues]
  worker = IO.popen([*command, { err: %i[child out] }])
  refused = nil
  Thread.new { worker.each_line { |line| refused ||= line if line.include?('CROSSSLOT') } }
  begin
    deadline = Time.now + 25
    until Sidekiq.redis { |redis| redis.get('sum') } == '1310' && Sidekiq::ProcessSet.new.size == 1
      raise refused if refused
      raise 'not all jobs are done' if Time.now > deadline

      sleep 0.05
    end
  ensure
    Process.kill('KILL', worker.pid)
  end
end
